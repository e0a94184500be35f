// Many prefixes asked at once. Texts that begin with a prefix lie side by side in order, so two prefixes are nested or
// apart, and a binary search finds the innermost one a text can have. Address blocks are prefixes of bits.

/** Whether a text begins with one of them. */
export class PrefixSet {
  /** Sorted, without those that another one is a prefix of. */
  readonly #prefixes: readonly string[];

  constructor(prefixes: readonly string[]) {
    const outer: string[] = [];
    for (const prefix of [...prefixes].sort()) {
      const last = outer.at(-1);
      if (last === undefined || !prefix.startsWith(last)) outer.push(prefix);
    }
    this.#prefixes = outer;
  }

  get isEmpty(): boolean {
    return this.#prefixes.length === 0;
  }

  has(text: string): boolean {
    const candidate = this.#prefixes[lastUpTo(this.#prefixes, text)];
    return candidate !== undefined && text.startsWith(candidate);
  }
}

/** What is filed under each prefix of a text. */
export class PrefixIndex<V> {
  readonly #prefixes: readonly string[];
  readonly #values: readonly V[];
  /** For each prefix the place of the longest other one that it begins with; -1 if there is none. */
  readonly #outer: readonly number[];

  constructor(entries: ReadonlyMap<string, V>) {
    const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
    const outer: number[] = [];
    const nest: number[] = [];
    sorted.forEach(([prefix], place) => {
      while (nest.length > 0 && !prefix.startsWith(sorted[nest.at(-1) ?? 0]?.[0] ?? '')) nest.pop();
      outer.push(nest.at(-1) ?? -1);
      nest.push(place);
    });
    this.#prefixes = sorted.map(([prefix]) => prefix);
    this.#values = sorted.map(([, value]) => value);
    this.#outer = outer;
  }

  /** Adds to `found` what is filed under prefixes of `text`, the longest first. */
  collect(text: string, found: V[]): void {
    let place = lastUpTo(this.#prefixes, text);
    while (place >= 0 && !text.startsWith(this.#prefixes[place] ?? '')) place = this.#outer[place] ?? -1;
    // Whatever a prefix of the text begins with is a prefix of the text.
    for (; place >= 0; place = this.#outer[place] ?? -1) {
      const value = this.#values[place];
      if (value !== undefined) found.push(value);
    }
  }
}

/** Place of the last that is not above `text`, or -1. Every prefix of the text is this one or is a prefix of it. */
function lastUpTo(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') <= text) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
