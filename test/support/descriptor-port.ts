import { readFileSync, readlinkSync } from 'node:fs';

/** The local port of a TCP socket of this process. */
export function portOfDescriptor(fd: number): number {
  const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  for (const table of ['/proc/self/net/tcp6', '/proc/self/net/tcp']) {
    for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[9] === inode) return parseInt(fields[1]?.split(':')[1] ?? '', 16);
    }
  }
  throw new Error(`descriptor ${fd} is not a TCP socket`);
}
