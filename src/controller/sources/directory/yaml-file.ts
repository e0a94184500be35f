// One file of manifests: YAML with several documents, `List` kinds taken apart, JSON as the YAML that it is.
import type { Document } from 'yaml';
import { LineCounter, isNode, isScalar, isMap, parseAllDocuments } from 'yaml';
import { messageOf } from '../../../runtime/errors.ts';
import type { BrokenObject, MeshObject } from '../../objects/object-set.ts';
import { parseManifest } from '../../objects/parse.ts';
import type { FieldPath, Origin, Problem } from '../../problem.ts';

export interface FileContent {
  readonly objects: readonly MeshObject[];
  readonly broken: readonly BrokenObject[];
  readonly problems: readonly Problem[];
  /** False if this cannot be what its author meant to leave behind: not YAML, or not made of objects. */
  readonly intact: boolean;
}

/** Objects of one file: a bound against aliases and lists that grow without end. */
const objectsPerFileMax = 100_000;

/** Reads the text of `file`. Never throws. */
export function parseYamlFile(file: string, text: string): FileContent {
  const objects: MeshObject[] = [];
  const broken: BrokenObject[] = [];
  const problems: Problem[] = [];
  let intact = true;
  const fail = (code: Problem['code'], message: string, at: object): void => {
    intact = false;
    problems.push({ severity: 'error', code, message, place: { file, ...at } });
  };
  const lines = new LineCounter();
  try {
    const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    for (const document of documents as Document[]) {
      for (const error of document.errors) fail('yaml', error.message, positionAt(lines, error.pos[0]));
      if (document.errors.length > 0) continue;
      for (const item of itemsOf(document.toJS({ maxAliasCount: 100 }))) {
        if (objects.length + broken.length >= objectsPerFileMax)
          throw new RangeError('too many objects in one file');
        const parsed = parseManifest(item.value, originOf(file, document, lines, item.path));
        if (parsed.kind === 'object') objects.push(parsed.object);
        if (parsed.kind === 'broken') broken.push(parsed.broken);
        if (parsed.kind === 'unidentified') intact = false;
        problems.push(...(parsed.kind === 'broken' ? parsed.broken.problems : parsed.problems));
      }
    }
  } catch (error) {
    fail('yaml', messageOf(error), {});
  }
  return { objects, broken, problems, intact };
}

interface Item {
  readonly value: unknown;
  readonly path: FieldPath;
}

/** The objects of a document: itself, or the items of a List, however nested. An empty document has none. */
function itemsOf(value: unknown, path: FieldPath = []): readonly Item[] {
  if (value === null || value === undefined) return [];
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return [{ value, path }];
  return items.flatMap((item, index) => itemsOf(item ?? {}, [...path, 'items', index]));
}

function originOf(file: string, document: Document, lines: LineCounter, prefix: FieldPath): Origin {
  return {
    file,
    position(path) {
      const offset = offsetOf(document, [...prefix, ...path]);
      return offset === undefined ? undefined : positionAt(lines, offset);
    },
  };
}

/** Where a field starts: its key if it has one. Goes up until something is found. */
function offsetOf(document: Document, path: FieldPath): number | undefined {
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

function positionAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}
