// Where the log goes: standard error, whatever that is. The disk may be full, the reader of the pipe may stall or be
// gone: the process goes on, holds a bounded number of bytes, drops the lines that come after that, and says how many
// as soon as something can be written again. Nothing here waits on the JavaScript thread.
import { fstatSync, write, writeSync } from 'node:fs';

export interface LogOutputOptions {
  /** Writes a part of `bytes` and calls back with the number of bytes that were taken, or an error. */
  readonly send: (bytes: Buffer, done: (error: Error | null, taken: number) => void) => void;
  /** The same at the end of the process, when nobody can wait: as much as goes at once. */
  readonly sendNow?: (bytes: Buffer) => void;
  /** Bytes that wait: 1 MiB. */
  readonly bytesMax?: number;
  /** Pause after an error: 1 s. */
  readonly retryMs?: number;
}

/** Lines that are handed over together. */
const chunkBytes = 64 * 1024;

export class LogOutput {
  readonly #options: Required<LogOutputOptions>;
  #lines: string[] = [];
  #queuedBytes = 0;
  /** What is being written and has not been taken yet. */
  #sending: Buffer | undefined;
  #dropped = 0;
  #untold = 0;
  #idle: (() => void)[] = [];
  #retry: NodeJS.Timeout | undefined;

  /** Told, with their number, after lines were dropped and others could be written again. */
  onRecovered: (lines: number) => void = () => undefined;

  constructor(options: LogOutputOptions) {
    this.#options = { sendNow: () => undefined, bytesMax: 1024 * 1024, retryMs: 1000, ...options };
  }

  /** Lines that were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Bytes that wait to be written. */
  get waitingBytes(): number {
    return this.#queuedBytes + (this.#sending?.length ?? 0);
  }

  get bytesMax(): number {
    return this.#options.bytesMax;
  }

  /** Never throws, never blocks. `line` ends in a newline. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.waitingBytes + bytes > this.#options.bytesMax) {
      this.#dropped += 1;
      this.#untold += 1;
      return;
    }
    this.#lines.push(line);
    this.#queuedBytes += bytes;
    if (this.#sending === undefined) this.#sendNext();
  }

  /** Resolves when everything is written, at the latest after `ms`. */
  async flush(ms: number): Promise<void> {
    if (this.waitingBytes === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** For the end of the process: what still waits goes out as far as it can at once. */
  finish(): void {
    clearTimeout(this.#retry);
    if (this.#lines.length > 0) this.#options.sendNow(Buffer.from(this.#lines.join('')));
    this.#lines = [];
    this.#queuedBytes = 0;
  }

  #sendNext(): void {
    let bytes = 0;
    let count = 0;
    while (count < this.#lines.length && bytes < chunkBytes) {
      bytes += Buffer.byteLength(this.#lines[count] ?? '');
      count += 1;
    }
    if (count === 0) {
      for (const idle of this.#idle.splice(0)) idle();
      return;
    }
    this.#sending = Buffer.from(this.#lines.splice(0, count).join(''));
    this.#queuedBytes -= bytes;
    this.#send();
  }

  #send(): void {
    const bytes = this.#sending;
    if (bytes === undefined) return;
    this.#options.send(bytes, (error, taken) => {
      if (error !== null) {
        // Full, or nobody reads: the bytes are kept, and what comes meanwhile has the rest of the bound.
        this.#retry = setTimeout(() => this.#send(), this.#options.retryMs);
        this.#retry.unref();
        return;
      }
      if (taken < bytes.length) {
        this.#sending = bytes.subarray(taken);
        this.#send();
        return;
      }
      this.#sending = undefined;
      const untold = this.#untold;
      this.#untold = 0;
      if (untold > 0) this.onRecovered(untold);
      // The callback may have written, and so have begun already.
      if (this.#sending === undefined) this.#sendNext();
    });
  }
}

let shared: LogOutput | undefined;

/** The log's output of this process: its standard error. */
export function standardError(): LogOutput {
  shared ??= openStandardError();
  return shared;
}

function openStandardError(): LogOutput {
  const fd = 2;
  const kind = kindOf(fd);
  const output = new LogOutput({
    send:
      kind === 'stream'
        ? // Pipes and sockets: the stream does not block, and holds no more than the one piece it is given.
          (bytes, done) => void process.stderr.write(bytes, (error) => done(error ?? null, bytes.length))
        : (bytes, done) => write(fd, bytes, 0, bytes.length, null, done),
    sendNow: (bytes) => {
      try {
        writeSync(fd, bytes);
      } catch {
        // Full, or nobody reads: there is nobody left to tell.
      }
    },
  });
  if (kind === 'stream') process.stderr.on('error', () => undefined); // told to the callback
  process.on('exit', () => output.finish());
  return output;
}

/** Node's own stream writes to files without a look at what was taken, on the JavaScript thread: those are ours. */
function kindOf(fd: number): 'file' | 'stream' {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() ? 'stream' : 'file';
  } catch {
    return 'file'; // closed: each write fails and is counted
  }
}
