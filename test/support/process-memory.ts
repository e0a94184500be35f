// The memory of a process, as root reads it.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const pieceBytes = 4 * 1024 * 1024;
/** What is looked for is shorter: pieces overlap by this. */
const overlapBytes = 4096;

/** Every text in the writable memory of a process that begins with `start` and ends with `end`, without duplicates. */
export function textsInMemory(pid: number, start: string, end: string): readonly string[] {
  const found = new Set<string>();
  const piece = Buffer.allocUnsafe(pieceBytes);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const [from, to] of writableRanges(pid))
      for (let at = from; at < to; at += pieceBytes - overlapBytes) {
        const bytes = readAt(memory, piece, at, Math.min(pieceBytes, to - at));
        for (let begin = bytes.indexOf(start); begin >= 0; begin = bytes.indexOf(start, begin + 1)) {
          const stop = bytes.indexOf(end, begin);
          if (stop < 0 || stop - begin > overlapBytes) continue;
          found.add(bytes.toString('latin1', begin, stop + end.length));
        }
      }
  } finally {
    closeSync(memory);
  }
  return [...found];
}

function writableRanges(pid: number): readonly (readonly [number, number])[] {
  return [...readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)].map(
    ([, from = '', to = '']) => [parseInt(from, 16), parseInt(to, 16)] as const,
  );
}

/** Pages that are gone meanwhile, or never were, hold nothing. */
function readAt(memory: number, piece: Buffer, at: number, length: number): Buffer {
  try {
    return piece.subarray(0, readSync(memory, piece, 0, length, at));
  } catch {
    return piece.subarray(0, 0);
  }
}
