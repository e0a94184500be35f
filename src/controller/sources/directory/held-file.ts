// What is in force of one file, and what its newest content did to that. Pure: reading is the caller's.
import type { Kind, MeshObject } from '../../objects/object-set.ts';
import { keyOf, objectKey } from '../../objects/object-set.ts';
import type { Problem } from '../../problem.ts';
import type { FileContent } from './yaml-file.ts';

export interface HeldFile {
  readonly content: FileContent;
  /** What is wrong with the newest content; if that is not intact, the content above is an older one. */
  readonly problems: readonly Problem[];
  /** False while the newest content cannot be used. */
  readonly intact: boolean;
}

const nothing: FileContent = { objects: [], broken: [], problems: [], intact: true };

/** A policy that cannot be understood denies; anything else that cannot be understood keeps its last good version. */
const policyKinds: ReadonlySet<Kind> = new Set(['AuthorizationPolicy', 'PeerAuthentication']);

/** The file with its newest content. An empty file does not remove what it held: an editor may be about to fill it. */
export function replaceContent(
  file: string,
  held: HeldFile | undefined,
  text: string,
  next: FileContent,
): HeldFile {
  const last = held?.content ?? nothing;
  if (text.trim() === '' && last.objects.length + last.broken.length > 0) {
    const message = 'is empty; what it held before stays in force (delete the file to remove its objects)';
    return stale(last, [{ severity: 'error', code: 'yaml', message, place: { file } }]);
  }
  if (!next.intact) {
    const kept = held === undefined ? [] : [keptNotice(file)];
    return stale(last, [...next.problems, ...kept]);
  }
  const { content, kept } = withLastGood(last, next);
  return { content, problems: [...next.problems, ...kept], intact: true };
}

/** The file while it cannot be read. */
export function unreadable(file: string, held: HeldFile | undefined, reason: string): HeldFile {
  const message = `cannot be read (${reason})`;
  const problem: Problem = { severity: 'error', code: 'unreadable', message, place: { file } };
  return stale(held?.content ?? nothing, held === undefined ? [problem] : [problem, keptNotice(file)]);
}

function stale(content: FileContent, problems: readonly Problem[]): HeldFile {
  return { content, problems, intact: false };
}

function keptNotice(file: string): Problem {
  const message = 'the last good content of this file stays in force';
  return { severity: 'warning', code: 'yaml', message, place: { file } };
}

function withLastGood(
  last: FileContent,
  next: FileContent,
): { content: FileContent; kept: readonly Problem[] } {
  const good = new Map(last.objects.map((object) => [`${object.kind} ${keyOf(object)}`, object]));
  const objects: MeshObject[] = [...next.objects];
  const kept: Problem[] = [];
  const broken = next.broken.filter((candidate) => {
    const before = good.get(`${candidate.kind} ${objectKey(candidate)}`);
    if (before === undefined || policyKinds.has(candidate.kind)) return true;
    objects.push(before);
    const { kind, namespace, name, origin } = candidate;
    kept.push({
      severity: 'warning',
      code: 'invalid',
      message: 'the last good version of this object stays in force',
      object: { kind, namespace, name },
      ...(origin === undefined ? {} : { place: { file: origin.file, ...origin.position([]) } }),
    });
    return false;
  });
  return { content: { ...next, objects, broken }, kept };
}
