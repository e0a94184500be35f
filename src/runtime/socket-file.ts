// A unix socket at a path. It is made under another name and renamed into place, so that a successor takes the path
// from its predecessor without a moment in which nobody is there, and neither removes the other's.
import { lstat, rename, rm } from 'node:fs/promises';
import type { Server } from 'node:net';
import { dirname, join } from 'node:path';
import { listenPrivately } from './private-files.ts';

let made = 0;

/** Listens at `path`, for the owner alone (0600). Returns the function that removes the file again, if it is still this one. */
export async function listenOnSocketFile(server: Server, path: string): Promise<() => Promise<void>> {
  made += 1;
  // Short: a socket's path has at most 107 bytes.
  const own = join(dirname(path), `.${process.pid}-${made}`);
  await rm(own, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    listenPrivately(server, own, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { ino, dev } = await lstat(own);
  await rename(own, path);
  return async () => {
    const there = await lstat(path).catch(() => undefined);
    if (there?.ino === ino && there.dev === dev) await rm(path, { force: true });
  };
}
