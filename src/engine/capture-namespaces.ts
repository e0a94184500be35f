// Finding a network namespace by its cookie, when all that is left of a pod is what was pinned for it.
import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { CaptureAddon } from './capture-native.ts';
import type { FileDescriptor } from './types.ts';

/** Calls `work` with a descriptor of that namespace, valid during the call. False if there is none any more. */
export function withNamespace(
  addon: CaptureAddon,
  cookie: bigint,
  work: (netns: FileDescriptor) => void,
): boolean {
  for (const path of namespacePaths()) {
    const netns = tryOpen(path);
    if (netns === undefined) continue;
    try {
      if (addon.netnsCookie(netns) !== cookie) continue;
      work(netns);
      return true;
    } finally {
      closeSync(netns);
    }
  }
  return false;
}

/** One path for each network namespace that is bound to a file or that a process lives in. */
function namespacePaths(): string[] {
  const seen = new Map<number, string>();
  for (const path of [
    ...boundNamespaces(readFileSync('/proc/self/mountinfo', 'utf8')),
    ...processNamespaces(),
  ]) {
    const inode = inodeOf(path);
    if (inode !== undefined && !seen.has(inode)) seen.set(inode, path);
  }
  return [...seen.values()];
}

/** Mount points of network namespaces; field 4 of mountinfo (proc(5)) is `net:[inode]`, field 5 the path. */
export function boundNamespaces(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[3]?.startsWith('net:['))
    .flatMap((fields) => (fields[4] === undefined ? [] : [unescape(fields[4])]));
}

/** mountinfo writes blanks and backslashes as \040. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

function processNamespaces(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `/proc/${pid}/ns/net`);
}

/** Undefined if it is gone since it was listed, or of a process we may not look into. */
function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

function tryOpen(path: string): FileDescriptor | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}
