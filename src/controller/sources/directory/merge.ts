// One object set out of many files. Two files that define one object: the one that was in force stays.
import type { BrokenObject, MeshObject, ObjectSet } from '../../objects/object-set.ts';
import { keyOf, objectKey, objectSet } from '../../objects/object-set.ts';
import { refOf } from '../../objects/metadata.ts';
import type { Origin, Problem } from '../../problem.ts';
import type { FileContent } from './yaml-file.ts';

export interface Merged {
  readonly objects: ObjectSet;
  readonly problems: readonly Problem[];
  /** Which file an object was taken from, by `kind key`; to be handed to the next merge. */
  readonly owners: ReadonlyMap<string, string>;
}

type Claim = { readonly file: string; readonly origin: Origin | undefined } & (
  | { readonly kind: 'object'; readonly object: MeshObject }
  | { readonly kind: 'broken'; readonly broken: BrokenObject }
);

/** `files` by path, in the order in which they rank among equals. */
export function mergeFiles(
  files: Iterable<readonly [string, FileContent]>,
  owners: ReadonlyMap<string, string>,
): Merged {
  const claims = new Map<string, Claim[]>();
  const claim = (key: string, made: Claim): void => {
    const known = claims.get(key);
    if (known === undefined) claims.set(key, [made]);
    else known.push(made);
  };
  for (const [file, content] of files) {
    for (const object of content.objects)
      claim(`${object.kind} ${keyOf(object)}`, { kind: 'object', object, file, origin: object.origin });
    for (const broken of content.broken)
      claim(`${broken.kind} ${objectKey(broken)}`, { kind: 'broken', broken, file, origin: broken.origin });
  }
  const objects: MeshObject[] = [];
  const broken: BrokenObject[] = [];
  const problems: Problem[] = [];
  const nextOwners = new Map<string, string>();
  for (const [key, made] of claims) {
    const winner = made.find(({ file }) => file === owners.get(key)) ?? made[0];
    if (winner === undefined) continue;
    nextOwners.set(key, winner.file);
    if (winner.kind === 'object') objects.push(winner.object);
    else broken.push(winner.broken);
    for (const loser of made) if (loser !== winner) problems.push(duplicate(winner, loser));
  }
  return { objects: objectSet(objects, broken), problems, owners: nextOwners };
}

function duplicate(winner: Claim, loser: Claim): Problem {
  const line = winner.origin?.position([])?.line;
  const where = line === undefined ? winner.file : `${winner.file}:${line}`;
  const { kind, namespace, name } = loser.kind === 'object' ? refOf(loser.object) : loser.broken;
  return {
    severity: 'error',
    code: 'duplicate',
    message: `is defined in ${where} as well, which stays in force; remove one of the two`,
    object: { kind, namespace, name },
    place: { file: loser.file, ...loser.origin?.position([]) },
  };
}
