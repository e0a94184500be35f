export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** 0..1, injected in tests. */
  readonly random?: () => number;
}

/** Exponential delays with jitter: each lies between half and the whole of a bound that doubles up to `maxMs`. */
export class Backoff {
  readonly #options: BackoffOptions;
  #boundMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#boundMs = options.minMs;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const bound = this.#boundMs;
    this.#boundMs = Math.min(bound * 2, this.#options.maxMs);
    return bound / 2 + ((this.#options.random ?? Math.random)() * bound) / 2;
  }

  /** To be called after a success. */
  reset(): void {
    this.#boundMs = this.#options.minMs;
  }
}
