// What capture has counted in the kernel, summed over the pods of this node. Read when somebody asks: the kernel counts,
// this only subtracts. Connections older than capture become fewer and never more, so a pod that has none is not looked
// at again: looking means a walk over the machine's whole table of connections (about 2 ms for 262 144 buckets).
import type { Capture, CaptureCounters } from '../../engine/capture-types.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';

export interface CaptureCountsOptions {
  readonly capture: Pick<Capture, 'counters' | 'keptConnections'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type Counts = Readonly<Record<string, number>>;

interface CountedPod {
  /** Of the last reading. */
  counters: CaptureCounters;
  kept: number;
  keptReadMs: number;
}

/** A number of connections that is younger is good enough. */
const keptMsMax = 5000;
/** Walks in one reading: the rest is read at the next. */
const walksMax = 8;

export class CaptureCounts {
  readonly #options: CaptureCountsOptions;
  /** In the order in which their connections were counted, longest ago first. */
  readonly #pods = new Map<string, CountedPod>();
  readonly #totals = new Map<string, number>();

  constructor(options: CaptureCountsOptions) {
    this.#options = options;
  }

  /** A pod was attached, for the first time or again. What an earlier process has counted there is not ours. */
  begin(podId: string, kept: number): void {
    const counters = this.#pods.get(podId)?.counters ?? this.#read(podId) ?? {};
    this.#pods.delete(podId);
    this.#pods.set(podId, { counters, kept, keptReadMs: this.#options.clock.monotonic() });
  }

  /** To be called while the pod is still attached: what it has counted stays in the totals. */
  end(podId: string): void {
    this.#gain(podId);
    this.#pods.delete(podId);
  }

  /** What has been counted in all pods since this process began with each, by outcome. */
  totals(): Counts {
    for (const podId of this.#pods.keys()) this.#gain(podId);
    return Object.fromEntries(this.#totals);
  }

  /** What has been counted in a pod since it was first captured, as of now; empty if it is not captured. */
  of(podId: string): Counts {
    const counters = this.#gain(podId) ?? {};
    return Object.fromEntries(Object.entries(counters).map(([name, value]) => [name, Number(value)]));
  }

  /** Connections older than capture that are open: of `podId`, or of all pods. At most some seconds old. */
  kept(podId?: string): number {
    this.#refreshKept();
    if (podId !== undefined) return this.#pods.get(podId)?.kept ?? 0;
    return [...this.#pods.values()].reduce((sum, pod) => sum + pod.kept, 0);
  }

  /** The connections of this pod have just been closed: count anew when somebody asks. */
  forgetKept(podId: string): void {
    const pod = this.#pods.get(podId);
    if (pod !== undefined) pod.keptReadMs = -Infinity;
  }

  #gain(podId: string): CaptureCounters | undefined {
    const pod = this.#pods.get(podId);
    const counters = pod && this.#read(podId);
    if (pod === undefined || counters === undefined) return undefined;
    for (const [name, value] of Object.entries(counters)) {
      const before = pod.counters[name] ?? 0n;
      // Maps that were made anew begin at 0.
      const gained = value >= before ? value - before : value;
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + Number(gained));
    }
    pod.counters = counters;
    return counters;
  }

  #refreshKept(): void {
    const { capture, clock } = this.#options;
    const now = clock.monotonic();
    let walks = 0;
    for (const [podId, pod] of [...this.#pods]) {
      if (pod.kept === 0 || now - pod.keptReadMs < keptMsMax) continue;
      if ((walks += 1) > walksMax) return;
      pod.kept = this.#attempt(podId, () => capture.keptConnections(podId)) ?? 0;
      pod.keptReadMs = now;
      this.#pods.delete(podId);
      this.#pods.set(podId, pod);
    }
  }

  #read(podId: string): CaptureCounters | undefined {
    return this.#attempt(podId, () => this.#options.capture.counters(podId));
  }

  /** A namespace that is going away cannot be looked into; who asks for numbers must not fail for it. */
  #attempt<T>(podId: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      this.#options.logger.debug('cannot count', { pod: podId, error: messageOf(error) });
      return undefined;
    }
  }
}
