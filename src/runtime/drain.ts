// A drain is a value that is held: it tells everyone who holds it that the end has begun, and when it must be over.
import type { Clock, Timer } from './clock.ts';

export class Drain {
  readonly #clock: Clock;
  readonly #started = new AbortController();
  readonly #expired = new AbortController();
  readonly #holds = new Map<symbol, string>();
  readonly #done = Promise.withResolvers<void>();
  #deadlineMs: number | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins the drain: it must be over after `graceMs`. A later call can only bring the deadline forward. */
  start(graceMs: number): void {
    const deadlineMs = this.#clock.monotonic() + graceMs;
    if (this.#deadlineMs !== undefined && deadlineMs >= this.#deadlineMs) return;
    this.#deadlineMs = deadlineMs;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(graceMs, () => this.#expire());
    this.#started.abort();
    this.#finishIfIdle();
  }

  get started(): boolean {
    return this.#started.signal.aborted;
  }

  /** Aborts when the drain begins: take nothing new. */
  get signal(): AbortSignal {
    return this.#started.signal;
  }

  /** Aborts at the deadline: close what is still open. */
  get expired(): AbortSignal {
    return this.#expired.signal;
  }

  /** On the monotonic clock; undefined before the start. */
  get deadlineMs(): number | undefined {
    return this.#deadlineMs;
  }

  /** Milliseconds that are left; undefined before the start. */
  get leftMs(): number | undefined {
    return this.#deadlineMs === undefined
      ? undefined
      : Math.max(0, this.#deadlineMs - this.#clock.monotonic());
  }

  /** The drain is not done before the returned function was called, or the deadline has passed. */
  hold(name: string): () => void {
    const key = Symbol(name);
    this.#holds.set(key, name);
    return () => {
      if (this.#holds.delete(key)) this.#finishIfIdle();
    };
  }

  /** Names of what it waits for. */
  get holding(): readonly string[] {
    return [...this.#holds.values()];
  }

  /** Resolves once the drain has begun and nothing holds it any more, or its deadline has passed. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  #finishIfIdle(): void {
    if (!this.started || this.#holds.size > 0) return;
    this.#timer?.cancel();
    this.#done.resolve();
  }

  #expire(): void {
    this.#expired.abort();
    this.#done.resolve();
  }
}
