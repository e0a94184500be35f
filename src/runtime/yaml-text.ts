// YAML that people write, read so that no text can hurt: time and memory grow with its length and stop at a bound, and
// what two readers could understand differently (a key given twice) is refused. The values are those of JSON.
import { Composer, Lexer, LineCounter, Parser, isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';
import type { CST, Document, Node, YAMLMap } from 'yaml';
import { messageOf } from './errors.ts';

type Token = CST.Token;

export interface YamlPosition {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface YamlFault extends YamlPosition {
  readonly message: string;
}

export interface YamlDocument {
  /** Plain JSON values. */
  readonly value: unknown;
  /** Where a field starts: at its key if it has one. Of the nearest field above it where there is no such field. */
  position(path: readonly (string | number)[]): YamlPosition | undefined;
}

export interface YamlText {
  /** None if anything is wrong with the text: half of it is not what its author meant. */
  readonly documents: readonly YamlDocument[];
  /** At most as many as the limits say. */
  readonly faults: readonly YamlFault[];
}

/** What one text may hold. */
export interface YamlLimits {
  /** Punctuation, words, line ends. */
  readonly parts: number;
  /** Values after aliases are followed: what `*a` stands for counts each time. */
  readonly values: number;
  readonly documents: number;
  readonly depth: number;
  readonly faults: number;
}

/** An honest file of 8 MiB has 3.5 million parts. A hostile one has them all in one list, at 300 bytes of memory each. */
export const yamlLimits: YamlLimits = {
  parts: 4_000_000,
  values: 4_000_000,
  documents: 100_000,
  depth: 64,
  faults: 20,
};

/** All documents of a text. Never throws. */
export function readYaml(text: string, limits: YamlLimits = yamlLimits): YamlText {
  const lines = new LineCounter();
  const reading = new Reading((offset) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }, limits);
  try {
    const parsed = [...composer(reading).compose(tokens(text, lines, reading))];
    const documents = reading.faults.length > 0 ? [] : parsed.map((document) => reading.finish(document));
    return { documents: reading.faults.length > 0 ? [] : documents, faults: reading.faults };
  } catch (error) {
    if (!(error instanceof TooMuch)) reading.note(messageOf(error), 0);
    return { documents: [], faults: reading.faults };
  }
}

/** Ends the reading of a text whose fault is noted already. */
class TooMuch extends Error {}

/** The parser's tokens, as long as there are not too many. */
function* tokens(text: string, lines: LineCounter, reading: Reading): ReturnType<Parser['parse']> {
  const { limits } = reading;
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let parts = 0;
  let documents = 0;
  const checked = function* (found: Iterable<Token>): Generator<Token> {
    for (const token of found) {
      if (token.type === 'error') reading.fail(token.message, token.offset);
      else yield token;
      if ((token.type === 'document' || token.type === 'doc-end') && ++documents > limits.documents)
        reading.give(`more than ${limits.documents} documents in one file`, token.offset);
    }
  };
  for (const part of new Lexer().lex(text)) {
    if (++parts > limits.parts) reading.give(`more than ${limits.parts} words and signs in one file`, 0);
    yield* checked(parser.next(part));
  }
  yield* checked(parser.end());
}

type ReportError = (
  source: number | readonly number[] | { readonly offset: number },
  code: string,
  message: string,
  warning?: boolean,
) => void;

/** The package collects errors without a bound, a kilobyte each: they are taken from it as they are found. */
function composer(reading: Reading): Composer {
  // The package's own search for keys given twice is quadratic, and takes `80` and `"80"` for two.
  const made = new Composer({ uniqueKeys: false, prettyErrors: false, logLevel: 'error' });
  const onError: ReportError = (source, code, message, warning = false) => {
    if (warning) return;
    const offset = typeof source === 'number' ? source : 'offset' in source ? source.offset : source[0];
    // A stack that overflowed: at which depth depends on the caller.
    reading.fail(code === 'RESOURCE_EXHAUSTION' ? tooDeep(reading.limits) : message, offset ?? 0);
  };
  return Object.assign(made, { onError });
}

function tooDeep({ depth }: YamlLimits): string {
  return `is nested deeper than ${depth} levels`;
}

/** What was read of one anchor; `value` is absent while its node is still being read. */
interface Anchored {
  readonly value?: unknown;
  /** Values in it. */
  readonly size: number;
}

/** One text being read: its faults so far, and what counts against its bounds. */
class Reading {
  readonly faults: YamlFault[] = [];
  readonly limits: YamlLimits;
  readonly #locate: (offset: number) => YamlPosition;
  #values = 0;

  constructor(locate: (offset: number) => YamlPosition, limits: YamlLimits) {
    this.#locate = locate;
    this.limits = limits;
  }

  note(message: string, offset: number): void {
    this.faults.push({ message, ...this.#locate(offset) });
  }

  /** Notes a fault; throws when there are enough of them. */
  fail(message: string, offset: number): void {
    if (this.faults.length >= this.limits.faults - 1) this.give('and more after this', offset);
    this.note(message, offset);
  }

  /** Notes a fault and ends the reading. */
  give(message: string, offset: number): never {
    // The composer catches what is thrown in a collection and reports it again.
    if (this.faults.length < this.limits.faults) this.note(message, offset);
    throw new TooMuch();
  }

  finish(document: Document): YamlDocument {
    // What the composer found at a document's end it has told the document alone.
    for (const error of document.errors) this.fail(error.message, error.pos[0]);
    return {
      value: this.#valueOf(document.contents, 0, new Map()),
      position: (path) => {
        const offset = offsetOf(document, path);
        return offset === undefined ? undefined : this.#locate(offset);
      },
    };
  }

  #valueOf(node: unknown, depth: number, anchors: Map<string, Anchored>): unknown {
    if (node === null) return null;
    if (!isNode(node)) return this.#refuse(node, 'is of a kind that JSON does not have');
    if (depth >= this.limits.depth && !isScalar(node) && !isAlias(node))
      return this.#refuse(node, tooDeep(this.limits));
    if (isAlias(node)) return this.#valueOfAlias(node.source, node, anchors);
    if (node.anchor !== undefined) anchors.set(node.anchor, { size: 0 });
    const before = this.#values;
    this.#count(1, node);
    let value: unknown;
    if (isScalar(node)) value = this.#valueOfScalar(node.value, node);
    else if (isMap(node)) value = this.#valueOfMap(node, depth, anchors);
    else if (isSeq(node)) value = node.items.map((item) => this.#valueOf(item, depth + 1, anchors));
    if (node.anchor !== undefined) anchors.set(node.anchor, { value, size: this.#values - before });
    return value;
  }

  #valueOfScalar(value: unknown, node: Node): unknown {
    if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value;
    return this.#refuse(node, 'is of a kind that JSON does not have');
  }

  #valueOfMap(map: YAMLMap, depth: number, anchors: Map<string, Anchored>): unknown {
    const entries = new Map<string, unknown>();
    for (const { key, value } of map.items) {
      if (!isScalar(key)) {
        this.#refuse(key ?? map, 'a key must be a text');
        continue;
      }
      const name = String(key.value ?? '');
      if (entries.has(name)) this.#refuse(key, `"${name.slice(0, 80)}" is given twice`);
      if (key.anchor !== undefined) anchors.set(key.anchor, { value: key.value, size: 1 });
      entries.set(name, this.#valueOf(value, depth + 1, anchors));
    }
    return Object.fromEntries(entries);
  }

  #valueOfAlias(name: string, node: Node, anchors: ReadonlyMap<string, Anchored>): unknown {
    const anchored = anchors.get(name);
    if (anchored === undefined) return this.#refuse(node, `there is no anchor &${name} before it`);
    if (anchored.size === 0) return this.#refuse(node, `*${name} is within what it stands for`);
    this.#count(anchored.size, node);
    return anchored.value;
  }

  #count(values: number, node: Node): void {
    this.#values += values;
    if (this.#values <= this.limits.values) return;
    this.give(`aliases make more than ${this.limits.values} values of this file`, node.range?.[0] ?? 0);
  }

  #refuse(node: unknown, message: string): undefined {
    this.fail(message, isNode(node) ? (node.range?.[0] ?? 0) : 0);
  }
}

function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  for (let length = path.length; length >= 0; length -= 1) {
    const parent = length === 0 ? undefined : document.getIn(path.slice(0, length - 1), true);
    if (isMap(parent)) {
      const pair = parent.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(path[length - 1]),
      );
      if (pair !== undefined && isScalar(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return undefined;
}
