// Follows a growing text file.
import { open } from 'node:fs/promises';

const chunkBytes = 256 * 1024;

export class Tail {
  readonly #path: string;
  #offset = 0;
  #rest = '';
  /** Lines read so far. */
  lines = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** The lines completed since the last call; at most 4 MiB of them, the rest at the next call. */
  async read(): Promise<readonly string[]> {
    const file = await open(this.#path).catch(() => undefined);
    if (file === undefined) return [];
    try {
      let text = this.#rest;
      const buffer = Buffer.alloc(chunkBytes);
      for (let chunks = 0; chunks < 16; chunks += 1) {
        const { bytesRead } = await file.read(buffer, 0, chunkBytes, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        text += buffer.toString('utf8', 0, bytesRead);
      }
      const lines = text.split('\n');
      this.#rest = lines.pop() ?? '';
      this.lines += lines.length;
      return lines;
    } finally {
      await file.close();
    }
  }
}
