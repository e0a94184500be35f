// Notices that the wall clock was set, or that the machine was suspended: timers run on the monotonic clock, which does
// neither, so whoever waits for a date has to look again.
import type { Clock, Timer } from './clock.ts';

export interface WallClockWatchOptions {
  readonly clock: Clock;
  /** By how much the wall clock has moved against the monotonic one; negative: back. */
  readonly moved: (byMs: number) => void;
  /** Time between two looks: 5 s. */
  readonly intervalMs?: number;
  /** Less than this is not told: 1 s. What NTP does by slewing adds up and is told once it is as much. */
  readonly toleranceMs?: number;
}

export class WallClockWatch {
  readonly #options: Required<WallClockWatchOptions>;
  #offsetMs: number;
  #timer: Timer;

  constructor(options: WallClockWatchOptions) {
    this.#options = { intervalMs: 5000, toleranceMs: 1000, ...options };
    this.#offsetMs = this.#offset();
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    const { clock, intervalMs } = this.#options;
    return clock.after(intervalMs, () => {
      this.#timer = this.#arm();
      this.#look();
    });
  }

  #look(): void {
    const byMs = this.#offset() - this.#offsetMs;
    if (Math.abs(byMs) < this.#options.toleranceMs) return;
    this.#offsetMs += byMs;
    this.#options.moved(byMs);
  }

  #offset(): number {
    const { clock } = this.#options;
    return clock.now() - clock.monotonic();
  }
}
