// Counting itself: plain numbers in objects that a connection holds, so that a byte or a connection costs one
// addition, not a look-up. How they are written out is the business of metrics.ts.

export type MetricKind = 'counter' | 'gauge' | 'histogram';
export type LabelValues<N extends string> = Readonly<Record<N, string>>;

export interface MetricSpec<N extends string = string> {
  readonly name: string;
  readonly help: string;
  /** Names of its labels, in the order they are written; none by default. */
  readonly labels?: readonly N[];
  /** Label sets it may have before further ones are counted together as `overflow`. Default 10 000. */
  readonly labelSetsMax?: number;
}

export interface Counter {
  readonly value: number;
  /** Adds `by` (1 by default). What is not a number above 0 is ignored: a counter never goes back. */
  inc(by?: number): void;
}

export interface Gauge {
  readonly value: number;
  set(value: number): void;
  inc(by?: number): void;
  dec(by?: number): void;
}

export interface Histogram {
  readonly count: number;
  readonly sum: number;
  observe(value: number): void;
}

/** One line of the exposition. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All label sets of one metric. A child is found once and held: `child` is the only call that looks up. */
export interface Family<N extends string, C> {
  readonly name: string;
  /** The child with these labels, made if there is none. */
  child(labels: LabelValues<N>): C;
  /** Forgets a label set, for one whose subject is gone. A child that is still held counts into nothing. */
  remove(labels: LabelValues<N>): void;
  /** Label sets in use. */
  readonly size: number;
}

export class NumberChild implements Counter, Gauge {
  value = 0;
  readonly #monotonic: boolean;

  constructor(kind: 'counter' | 'gauge') {
    this.#monotonic = kind === 'counter';
  }

  inc(by = 1): void {
    if (this.#monotonic && !(by > 0)) return;
    this.value += by;
  }

  dec(by = 1): void {
    this.value -= by;
  }

  set(value: number): void {
    this.value = value;
  }
}

export class HistogramChild implements Histogram {
  count = 0;
  sum = 0;
  /** Not cumulative; the last one is above every bound. */
  readonly buckets: number[];
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.buckets = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    if (Number.isNaN(value)) return;
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] ?? Infinity)) index += 1;
    this.buckets[index] = (this.buckets[index] ?? 0) + 1;
    this.count += 1;
    this.sum += value;
  }
}

const labelSetsMaxDefault = 10_000;

export class MetricFamily<N extends string, C> implements Family<N, C> {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly labels: readonly N[];
  readonly #labelSetsMax: number;
  readonly #make: () => C;
  readonly #overflowed: (name: string) => void;
  readonly #children = new Map<string, { readonly labels: LabelValues<N>; readonly child: C }>();
  #overflow: C | undefined;

  constructor(kind: MetricKind, spec: MetricSpec<N>, make: () => C, overflowed: (name: string) => void) {
    this.kind = kind;
    this.name = spec.name;
    this.help = spec.help;
    this.labels = spec.labels ?? [];
    this.#labelSetsMax = spec.labelSetsMax ?? labelSetsMaxDefault;
    this.#make = make;
    this.#overflowed = overflowed;
    // A metric without labels is there from the start: a dashboard shall see 0, not nothing.
    if (this.labels.length === 0) this.child({} as LabelValues<N>);
  }

  get size(): number {
    return this.#children.size;
  }

  child(labels: LabelValues<N>): C {
    const key = this.#keyOf(labels);
    const found = this.#children.get(key);
    if (found !== undefined) return found.child;
    if (this.#children.size >= this.#labelSetsMax) {
      this.#overflowed(this.name);
      return (this.#overflow ??= this.#make());
    }
    const child = this.#make();
    this.#children.set(key, { labels: this.#only(labels), child });
    return child;
  }

  remove(labels: LabelValues<N>): void {
    this.#children.delete(this.#keyOf(labels));
  }

  /** Every label set with its child; the shared one of those beyond the bound comes last. */
  *entries(): Iterable<{ readonly labels: LabelValues<N>; readonly child: C }> {
    yield* this.#children.values();
    if (this.#overflow === undefined) return;
    const labels = Object.fromEntries(this.labels.map((name) => [name, 'overflow'])) as LabelValues<N>;
    yield { labels, child: this.#overflow };
  }

  #keyOf(labels: LabelValues<N>): string {
    return this.labels.length === 1
      ? labels[this.labels[0] as N]
      : JSON.stringify(this.labels.map((n) => labels[n]));
  }

  #only(labels: LabelValues<N>): LabelValues<N> {
    return Object.fromEntries(this.labels.map((name) => [name, labels[name]])) as LabelValues<N>;
  }
}
