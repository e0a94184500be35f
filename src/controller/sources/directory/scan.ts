// Which manifest files a directory tree holds, and a stamp of each that changes when its content does.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface FoundFile {
  /** Relative to the root. */
  readonly path: string;
  readonly stamp: string;
  readonly size: number;
  readonly modifiedMs: number;
}

export interface Scan {
  /** Sorted by path. */
  readonly files: readonly FoundFile[];
  /** Relative to the root, which is ''. */
  readonly directories: readonly string[];
}

const filesMax = 20_000;
const depthMax = 16;

/** Lists `*.yaml`, `*.yml` and `*.json` below `root`. Hidden names are left out (editors' swap files, the `..data` of
 *  a mounted ConfigMap); a link to a file is followed, a link to a directory is not: it might lead back.
 *  Throws what the root's readdir throws, and a RangeError for more than 20,000 files. */
export async function scanDirectory(root: string): Promise<Scan> {
  const files: FoundFile[] = [];
  const directories: string[] = [];
  const visit = async (relative: string, depth: number): Promise<void> => {
    const entries = await readdir(join(root, relative), { withFileTypes: true });
    directories.push(relative);
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory() && depth < depthMax) await ifPresent(visit(path, depth + 1));
      if (!/\.(ya?ml|json)$/.test(entry.name) || entry.isDirectory()) continue;
      const found = await ifPresent(stat(join(root, path), { bigint: true }));
      if (found === undefined || !found.isFile()) continue;
      if (files.length >= filesMax) throw new RangeError(`more than ${filesMax} manifest files`);
      files.push({
        path,
        stamp: `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`,
        size: Number(found.size),
        modifiedMs: Number(found.ctimeMs),
      });
    }
  };
  await visit('', 0);
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, directories };
}

/** Undefined for what went away between listing and looking. */
async function ifPresent<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}
