// One file of manifests: YAML with several documents, `List` kinds taken apart, JSON as the YAML that it is.
import { messageOf } from '../../../runtime/errors.ts';
import type { YamlDocument } from '../../../runtime/yaml-text.ts';
import { readYaml } from '../../../runtime/yaml-text.ts';
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

/** Largest file that is read: some 15,000 pods. */
export const fileBytesMax = 8 * 1024 * 1024;

const objectsPerFileMax = 100_000;

/** A mistake that every object makes is one mistake: beyond this many the rest is only counted. */
const problemsPerFileMax = 1000;

/** Reads the text of `file`. Never throws. */
export function parseYamlFile(file: string, text: string): FileContent {
  const objects: MeshObject[] = [];
  const broken: BrokenObject[] = [];
  const problems: Problem[] = [];
  let intact = true;
  let left = 0;
  const report = (found: readonly Problem[]): void => {
    const room = problemsPerFileMax - problems.length;
    problems.push(...found.slice(0, room));
    left += Math.max(0, found.length - room);
  };
  const fail = (message: string, at: object): void => {
    intact = false;
    report([{ severity: 'error', code: 'yaml', message, place: { file, ...at } }]);
  };
  try {
    const { documents, faults } = readYaml(text);
    for (const { message, ...at } of faults) fail(message, at);
    for (const document of documents) {
      for (const item of itemsOf(document.value)) {
        if (objects.length + broken.length >= objectsPerFileMax)
          throw new RangeError(`more than ${objectsPerFileMax} objects in one file`);
        const parsed = parseManifest(item.value, originOf(file, document, item.path));
        if (parsed.kind === 'object') objects.push(parsed.object);
        if (parsed.kind === 'broken') broken.push(parsed.broken);
        if (parsed.kind === 'unidentified') intact = false;
        report(parsed.kind === 'broken' ? parsed.broken.problems : parsed.problems);
      }
    }
  } catch (error) {
    fail(messageOf(error), {});
  }
  if (left > 0)
    problems.push({
      severity: 'error',
      code: 'invalid',
      message: `${left} more problems of this file are not listed`,
      place: { file },
    });
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

function originOf(file: string, document: YamlDocument, prefix: FieldPath): Origin {
  return { file, position: (path) => document.position([...prefix, ...path]) };
}
