// Declares metrics and writes them out. prom-client is imported at the first scrape, not at start: a process nobody
// scrapes does not pay for it. It writes the text and brings the process_* and nodejs_* metrics.
import type * as PromClient from 'prom-client';
import type { Registry } from 'prom-client';
import { RuntimeError } from './errors.ts';
import type { Counter, Family, Gauge, Histogram, MetricKind, MetricSpec, Sample } from './metric-family.ts';
import { HistogramChild, MetricFamily, NumberChild } from './metric-family.ts';

export type { Counter, Family, Gauge, Histogram, LabelValues, MetricSpec } from './metric-family.ts';

export type MetricsFormat = 'prometheus' | 'openmetrics';

export interface HistogramSpec<N extends string> extends MetricSpec<N> {
  /** Upper bounds, ascending, in the metric's unit. */
  readonly buckets: readonly number[];
}

export interface Metrics {
  /** Declares a metric, or finds it: the same declaration twice is the same family, a different one an error. */
  counter<N extends string = never>(spec: MetricSpec<N>): Family<N, Counter>;
  gauge<N extends string = never>(spec: MetricSpec<N>): Family<N, Gauge>;
  histogram<N extends string = never>(spec: HistogramSpec<N>): Family<N, Histogram>;
  /** Calls back before each rendering, for values that are read and not counted. Returns the function that ends it. */
  onRender(collect: () => void): () => void;
  /** The whole exposition. */
  render(format?: MetricsFormat): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Where one part of a process counts. `processMetrics: false` leaves out process_* and nodejs_*. */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  return new MetricsRegistry(options.processMetrics ?? true);
}

type AnyFamily = MetricFamily<string, NumberChild | HistogramChild>;

class MetricsRegistry implements Metrics {
  readonly #families = new Map<string, { readonly shape: string; readonly family: AnyFamily }>();
  readonly #collectors = new Set<() => void>();
  readonly #processMetrics: boolean;
  readonly #overflows: MetricFamily<'metric', NumberChild>;
  #process: Promise<Registry> | undefined;

  constructor(processMetrics: boolean) {
    this.#processMetrics = processMetrics;
    this.#overflows = this.#declare(
      'counter',
      {
        name: 'culvert_metrics_overflow_total',
        help: 'Look-ups that found a metric at its bound of label sets and were counted together.',
        labels: ['metric'],
      },
      '',
      () => new NumberChild('counter'),
    );
  }

  counter<N extends string = never>(spec: MetricSpec<N>): Family<N, Counter> {
    return this.#declare('counter', spec, '', () => new NumberChild('counter'));
  }

  gauge<N extends string = never>(spec: MetricSpec<N>): Family<N, Gauge> {
    return this.#declare('gauge', spec, '', () => new NumberChild('gauge'));
  }

  histogram<N extends string = never>(spec: HistogramSpec<N>): Family<N, Histogram> {
    return this.#declare('histogram', spec, spec.buckets.join(), () => new HistogramChild(spec.buckets));
  }

  onRender(collect: () => void): () => void {
    this.#collectors.add(collect);
    return () => void this.#collectors.delete(collect);
  }

  async render(
    format: MetricsFormat = 'prometheus',
  ): Promise<{ readonly contentType: string; readonly body: string }> {
    for (const collect of this.#collectors) collect();
    const client = await import('prom-client');
    // prom-client renames counters in place for OpenMetrics, so each rendering has a registry of its own.
    const registry = new client.Registry();
    if (format === 'openmetrics') registry.setContentType(client.openMetricsContentType as never);
    for (const { family } of this.#families.values())
      register(registry, family.name, family.help, family.kind, () => samplesOf(family));
    if (this.#processMetrics) await this.#registerProcessMetrics(registry, client);
    return { contentType: registry.contentType, body: await registry.metrics() };
  }

  #declare<N extends string, C extends NumberChild | HistogramChild>(
    kind: MetricKind,
    spec: MetricSpec<N>,
    detail: string,
    make: () => C,
  ): MetricFamily<N, C> {
    const shape = JSON.stringify([kind, spec.labels ?? [], detail]);
    const found = this.#families.get(spec.name);
    if (found !== undefined) {
      if (found.shape === shape) return found.family as unknown as MetricFamily<N, C>;
      throw new RuntimeError('ERR_CULVERT_METRIC', `the metric ${spec.name} is already declared differently`);
    }
    const family = new MetricFamily(kind, spec, make, (metric) => this.#overflows.child({ metric }).inc());
    this.#families.set(spec.name, { shape, family: family as unknown as AnyFamily });
    return family;
  }

  async #registerProcessMetrics(registry: Registry, client: typeof PromClient): Promise<void> {
    this.#process ??= Promise.resolve().then(() => {
      const own = new client.Registry();
      // A coarse clock: the default of 10 ms would wake an idle process 100 times a second.
      client.collectDefaultMetrics({ register: own, eventLoopMonitoringPrecision: 100 });
      return own;
    });
    for (const metric of await (await this.#process).getMetricsAsJSON()) {
      const samples = (metric.values as readonly PromSample[]).map((sample) => ({
        name: sample.metricName ?? metric.name,
        labels: sample.labels,
        value: sample.value,
      }));
      register(registry, metric.name, metric.help, String(metric.type), () => samples);
    }
  }
}

interface PromSample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Gives prom-client's writer a metric whose values live elsewhere; it asks for no more than a name and `get`. */
function register(
  registry: Registry,
  name: string,
  help: string,
  type: string,
  samples: () => readonly Sample[],
): void {
  const metric = {
    name,
    type,
    get() {
      const values = samples().map((sample) => ({
        metricName: sample.name === name ? undefined : sample.name,
        labels: sample.labels,
        value: sample.value,
      }));
      return Promise.resolve({ name: this.name, help, type, values, aggregator: 'sum' });
    },
  };
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
}

function samplesOf(family: AnyFamily): readonly Sample[] {
  const samples: Sample[] = [];
  for (const { labels, child } of family.entries()) {
    if (child instanceof HistogramChild) samples.push(...bucketSamples(family, labels, child));
    else samples.push({ name: family.name, labels, value: child.value });
  }
  return samples;
}

function bucketSamples(
  family: AnyFamily,
  labels: Readonly<Record<string, string>>,
  child: HistogramChild,
): readonly Sample[] {
  let cumulative = 0;
  const buckets = child.buckets.map((count, index) => {
    cumulative += count;
    const bound = child.bounds[index];
    const le = bound === undefined ? '+Inf' : String(bound);
    return { name: `${family.name}_bucket`, labels: { ...labels, le }, value: cumulative };
  });
  return [
    ...buckets,
    { name: `${family.name}_sum`, labels, value: child.sum },
    { name: `${family.name}_count`, labels, value: child.count },
  ];
}
