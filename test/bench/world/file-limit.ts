// Tens of thousands of connections: a file each in every proxy, two in some, more than a shell's limit.
import { readFile } from 'node:fs/promises';
import { captured } from '../../../setup/run-program.js';

const filesWanted = 200_000;

/**
 * Raises the limit of open files of this process, and so of all it starts, as far as this machine allows; returns it.
 * Without CAP_SYS_RESOURCE that is the hard limit of the shell.
 */
export async function raiseFileLimit(): Promise<number> {
  const pid = String(process.pid);
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
  for (const files of [Math.max(filesWanted, hard), hard])
    if ((await captured('prlimit', ['--pid', pid, `--nofile=${files}:${files}`])).status === 0) return files;
  throw new Error('prlimit (util-linux) cannot set the limit of open files');
}
