// Many string matches asked at once: a look-up among exact values, one binary search among prefixes, one among suffixes.
import type { StringMatch } from '../mesh/policy.ts';
import { PrefixSet } from './prefixes.ts';

/** Up to so many values are compared one by one, which costs less than hashing the text. */
const fewMax = 4;

export interface StringSet {
  /** Whether one of the matches holds; none holds for an empty or absent text. */
  has(text: string | undefined): boolean;
}

export function stringSet(matches: readonly StringMatch[]): StringSet {
  return matches.length <= fewMax ? new FewStrings(matches) : new ManyStrings(matches);
}

class FewStrings implements StringSet {
  readonly #matches: readonly StringMatch[];

  constructor(matches: readonly StringMatch[]) {
    this.#matches = matches;
  }

  has(text: string | undefined): boolean {
    if (text === undefined || text === '') return false;
    for (const match of this.#matches) if (holds(match, text)) return true;
    return false;
  }
}

function holds(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case 'exact':
      return text === match.value;
    case 'prefix':
      return text.startsWith(match.value);
    case 'suffix':
      return text.endsWith(match.value);
    case 'presence':
      return true;
  }
}

class ManyStrings implements StringSet {
  readonly #present: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #prefixes: PrefixSet;
  /** Read backwards, so that they are prefixes, too. */
  readonly #suffixes: PrefixSet;

  constructor(matches: readonly StringMatch[]) {
    const values = (kind: 'exact' | 'prefix' | 'suffix'): string[] =>
      matches.flatMap((match) => (match.kind === kind ? [match.value] : []));
    this.#present = matches.some((match) => match.kind === 'presence');
    this.#exact = new Set(values('exact'));
    this.#prefixes = new PrefixSet(values('prefix'));
    this.#suffixes = new PrefixSet(values('suffix').map(backwards));
  }

  has(text: string | undefined): boolean {
    if (text === undefined || text === '') return false;
    if (this.#present || this.#exact.has(text) || this.#prefixes.has(text)) return true;
    return !this.#suffixes.isEmpty && this.#suffixes.has(backwards(text));
  }
}

/** By UTF-16 units, as `endsWith` compares. */
function backwards(text: string): string {
  let reversed = '';
  for (let i = text.length - 1; i >= 0; i -= 1) reversed += text[i] ?? '';
  return reversed;
}
