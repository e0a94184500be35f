// The mathematics of the report: medians, ratios within a round, and whether a target is met. Pure.

export interface Measure {
  readonly key: string;
  readonly name: string;
  readonly unit: string;
  readonly better: 'less' | 'more';
  /** It has a panel in the chart. */
  readonly charted?: boolean;
  /** Of that panel, if not its name. */
  readonly title?: string;
}

/** What is wanted of one contestant: of its value, or of the ratio to the best of others in the same round. */
export interface Target {
  readonly name: string;
  readonly measure: string;
  readonly of: string;
  /** Whom it is compared with: the best of them. Nobody: the value itself is judged. */
  readonly against?: readonly string[];
  /** A contestant whose value is taken off both sides first: what is left is what a proxy adds. */
  readonly above?: string;
  /** Another measure of those it is compared with; the same one unless said. */
  readonly againstMeasure?: string;
  readonly most?: number;
  readonly least?: number;
  /** A contestant that should be equal to those it is compared with: the most its ratio was is what `most` would be. */
  readonly noise?: string;
}

/** By contestant, then by measure: one value a round; undefined where it had none. */
export type Samples = Readonly<
  Record<string, Readonly<Record<string, readonly (number | undefined)[]>> | undefined>
>;

export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Of how many rounds. */
  readonly count: number;
}

export interface Verdict {
  /** With `most` filled in where the noise says it. */
  readonly target: Target;
  /** Undefined if no round gave a value. */
  readonly summary: Summary | undefined;
  readonly met: boolean;
}

/** Median, least and most of what is finite; undefined if nothing is. */
export function summarize(values: readonly (number | undefined)[]): Summary | undefined {
  const sorted = values
    .filter((value): value is number => value !== undefined && Number.isFinite(value))
    .sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high, upper] = [sorted[0], sorted.at(-1), sorted[middle]];
  if (low === undefined || high === undefined || upper === undefined) return undefined;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
  return { median, low, high, count: sorted.length };
}

/** One value a round: the contestant's own, or its ratio to the best of those it is compared with. */
export function targetValues(
  samples: Samples,
  measures: readonly Measure[],
  target: Target,
): readonly (number | undefined)[] {
  const own = samples[target.of]?.[target.measure] ?? [];
  if (target.against === undefined) return own;
  const key = target.againstMeasure ?? target.measure;
  const less = measures.find((measure) => measure.key === key)?.better !== 'more';
  return own.map((value, round) => {
    const base = target.above === undefined ? 0 : samples[target.above]?.[target.measure]?.[round];
    const others = (target.against ?? [])
      .map((name) => samples[name]?.[key]?.[round])
      .filter((other): other is number => other !== undefined);
    if (value === undefined || base === undefined || others.length === 0) return undefined;
    const best = (less ? Math.min(...others) : Math.max(...others)) - base;
    // Who adds nothing, or less, was measured in a noisy moment: a ratio to it says nothing.
    return best > 0 ? (value - base) / best : undefined;
  });
}

/** The median decides. A target without a single value is not met. */
export function judge(samples: Samples, measures: readonly Measure[], asked: Target): Verdict {
  const target = withNoise(samples, measures, asked);
  const summary = summarize(targetValues(samples, measures, target));
  const { most = Number.POSITIVE_INFINITY, least = Number.NEGATIVE_INFINITY } = target;
  // Judged as it is printed: 0.4504 is 0.45.
  const median = summary === undefined ? Number.NaN : Number(short(summary.median));
  return { target, summary, met: median <= most && median >= least };
}

function withNoise(samples: Samples, measures: readonly Measure[], target: Target): Target {
  if (target.noise === undefined) return target;
  const noise = summarize(targetValues(samples, measures, { ...target, of: target.noise }));
  return { ...target, most: Number(short(Math.max(1, noise?.high ?? 1))) };
}

/** A number in at most six characters: three digits that count, and no more than are there. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 100_000) return `${(value / 1000).toFixed(0)}k`;
  return Math.abs(value) >= 100
    ? value.toFixed(0)
    : Math.abs(value) < 0.01
      ? value.toFixed(3)
      : value.toPrecision(3);
}
