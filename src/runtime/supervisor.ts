import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

/** Takes the promises that nobody awaits, so that their failures are logged once and their ends can be waited for. */
export class Supervisor {
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();
  readonly #failed: ((name: string, error: unknown) => void) | undefined;

  /** `failed` is told of each failure after it was logged, for instance to count it or to end the process. */
  constructor(logger: Logger, failed?: (name: string, error: unknown) => void) {
    this.#logger = logger;
    this.#failed = failed;
  }

  /** Runs in the background. A failure that is an AbortError is the expected end of work that was cancelled. */
  run(name: string, work: Promise<unknown> | (() => Promise<unknown>)): void {
    const started = typeof work === 'function' ? Promise.resolve().then(work) : work;
    const watched = started.then(
      () => undefined,
      (error: unknown) => this.#report(name, error),
    );
    this.#running.add(watched);
    void watched.finally(() => this.#running.delete(watched));
  }

  get size(): number {
    return this.#running.size;
  }

  /** Resolves when all that runs now, and all that it started meanwhile, has ended. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #report(name: string, error: unknown): void {
    if (error instanceof Error && error.name === 'AbortError') return;
    const code = (error as { code?: unknown } | undefined)?.code;
    this.#logger.error(`${name} failed: ${messageOf(error)}`, code === undefined ? {} : { code });
    this.#failed?.(name, error);
  }
}
