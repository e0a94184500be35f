// Keys, tokens and sockets are for their owner alone. What others could read or replace is refused, with the name of the
// file and its mode, instead of being used as if it were a secret.
import { open, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { Server } from 'node:net';
import { dirname, sep } from 'node:path';
import { RuntimeError } from './errors.ts';

const readers = 0o077;
const writers = 0o022;
const sticky = 0o1000;

/**
 * The text of a key or token. Throws ERR_CULVERT_FILE_MODE if others than its owner can reach it, if it belongs neither to
 * us nor to root, or if others can replace it; and what reading throws, ENOENT for one.
 */
export async function readPrivateFile(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    // Of the file that is open: its name may lead to another one a moment later.
    await requirePrivate(path, await file.stat());
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** The same without reading it. A file that is not there is nobody's secret. */
export async function checkPrivateFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined) await requirePrivate(path, found);
}

/**
 * A directory in which nobody else can put, replace or remove files; they may look. Throws ERR_CULVERT_FILE_MODE. One that
 * is not there is made by us. `/tmp` and its like will do: there others touch their own files only.
 */
export async function checkPrivateDirectory(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  requireOwner(path, found);
  if ((found.mode & writers) !== 0 && (found.mode & sticky) === 0)
    throw refusal(path, found, `others can replace what is in it: chmod go-w ${path}`);
}

/** Listens on a socket file that only its owner can connect to, from its first moment on. */
export function listenPrivately(server: Server, path: string, listening?: () => void): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path }, listening); // binds before it returns
  } finally {
    process.umask(before);
  }
}

async function requirePrivate(path: string, found: Stats): Promise<void> {
  requireOwner(path, found);
  const refused = (await isKubernetesVolume(path)) ? writers : readers;
  if ((found.mode & refused) !== 0)
    throw refusal(path, found, `others than its owner can reach it: chmod 0600 ${path}`);
  await checkPrivateDirectory(dirname(path));
}

function requireOwner(path: string, found: Stats): void {
  const own = process.geteuid?.() ?? 0;
  if (found.uid !== own && found.uid !== 0)
    throw refusal(path, found, `it belongs to user ${found.uid}, not to us (${own}) or root`);
}

/** kubelet writes volumes of Secrets and tokens into a directory `..<time>`, readable for all by default: nobody but the
 *  pod sees them. */
async function isKubernetesVolume(path: string): Promise<boolean> {
  return (await realpath(path)).split(sep).some((part) => /^\.\.\d{4}_/.test(part));
}

function refusal(path: string, { mode }: Stats, why: string): RuntimeError {
  const octal = (mode & 0o7777).toString(8).padStart(4, '0');
  return new RuntimeError('ERR_CULVERT_FILE_MODE', `${path} has mode ${octal}: ${why}`);
}
