// Which identity is fetched next: the highest priority first, then who has waited longest.

export type FetchPriority = 'background' | 'warmup' | 'realtime';

const ranks: readonly FetchPriority[] = ['realtime', 'warmup', 'background'];

/** Each identity is in the queue once, at the highest priority that was asked for it. */
export class FetchQueue {
  readonly #waiting: Readonly<Record<FetchPriority, Set<string>>> = {
    realtime: new Set(),
    warmup: new Set(),
    background: new Set(),
  };

  get size(): number {
    return ranks.reduce((sum, priority) => sum + this.#waiting[priority].size, 0);
  }

  push(identity: string, priority: FetchPriority): void {
    const present = ranks.find((rank) => this.#waiting[rank].has(identity));
    if (present !== undefined && ranks.indexOf(present) <= ranks.indexOf(priority)) return;
    this.remove(identity);
    this.#waiting[priority].add(identity);
  }

  /** Takes out the next one. */
  shift(): string | undefined {
    for (const priority of ranks) {
      const [identity] = this.#waiting[priority];
      if (identity === undefined) continue;
      this.#waiting[priority].delete(identity);
      return identity;
    }
    return undefined;
  }

  remove(identity: string): void {
    for (const priority of ranks) this.#waiting[priority].delete(identity);
  }
}
