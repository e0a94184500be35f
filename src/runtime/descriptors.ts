// File descriptors of this process: how many it has and how many it may have. Node raises the soft limit to the hard
// one at start, so the limit is what the container runtime or the service manager gave.
import { readFileSync, readdirSync, statSync } from 'node:fs';

let limit = 1024;

/** Read from the kernel at each call; without a descriptor to do that with, the limit is the one last seen. */
export function readDescriptors(): { readonly used: number; readonly max: number } {
  try {
    const match = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    limit = Number(match?.[1] === 'unlimited' ? 2 ** 30 : (match?.[1] ?? limit));
  } catch {
    return { used: limit, max: limit };
  }
  return { used: countOpen(), max: limit };
}

/** Since Linux 6.2 the size of the directory is the count. */
function countOpen(): number {
  const { size } = statSync('/proc/self/fd');
  return size > 0 ? size : readdirSync('/proc/self/fd').length;
}
