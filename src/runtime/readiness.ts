export interface ReadinessTask {
  readonly name: string;
  /** The task is done; the process no longer waits for it. Idempotent. */
  done(): void;
  /** The process waits for it (again): `detail` says for what, for the operator who asks. */
  wait(detail?: string): void;
}

/** What a process still waits for before it can serve. Ready when every registered task is done. */
export class Readiness {
  readonly #pending = new Map<string, string>();
  readonly #checks = new Map<string, () => readonly string[]>();
  #waiting: (() => void)[] = [];

  /** Registers a task as pending. The same name is the same task. */
  task(name: string, detail = ''): ReadinessTask {
    this.#pending.set(name, detail);
    return {
      name,
      done: () => this.#done(name),
      wait: (why = '') => void this.#pending.set(name, why),
    };
  }

  /** Registers something that knows itself what it waits for; asked whenever somebody looks. It cannot wake
   *  `whenReady`, which waits for tasks alone. */
  check(name: string, pending: () => readonly string[]): void {
    this.#checks.set(name, pending);
  }

  get ready(): boolean {
    return this.pending.length === 0;
  }

  /** What it waits for, one entry per task: `xds (not connected: ...)`. */
  get pending(): readonly string[] {
    const tasks = [...this.#pending].map(([name, detail]) => (detail === '' ? name : `${name} (${detail})`));
    const checks = [...this.#checks].flatMap(([name, ask]) => ask().map((what) => `${name} (${what})`));
    return [...tasks, ...checks];
  }

  /** Resolves when no task is pending; rejects with the signal's reason. */
  whenReady(signal?: AbortSignal): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal?.reason as Error);
      if (signal?.aborted === true) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
    });
  }

  #done(name: string): void {
    this.#pending.delete(name);
    if (this.#pending.size > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
