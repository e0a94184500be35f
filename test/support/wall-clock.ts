// Sets the wall clock of the processes that a test starts: see wall-clock.c.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export class WallClock {
  readonly #directory = mkdtempSync(join(tmpdir(), 'culvert-clock-'));
  readonly #file: number;

  /** Throws without a C compiler. Call it before the processes are started; they inherit it through the environment. */
  static install(): WallClock {
    const clock = new WallClock();
    const library = join(clock.#directory, 'wall-clock.so');
    const source = resolve(import.meta.dirname, 'wall-clock.c');
    const { status } = spawnSync('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source], {
      stdio: 'inherit',
    });
    if (status !== 0) {
      clock.remove();
      throw new Error(`gcc cannot build ${source}`);
    }
    process.env['TEST_WALL_CLOCK'] = join(clock.#directory, 'offset');
    process.env['LD_PRELOAD'] = library;
    return clock;
  }

  private constructor() {
    this.#file = openSync(join(this.#directory, 'offset'), 'w');
    this.set(0);
  }

  /** From now on their clock is ours plus `seconds`. */
  set(seconds: number): void {
    const offset = Buffer.alloc(8);
    offset.writeBigInt64LE(BigInt(seconds));
    writeSync(this.#file, offset, 0, 8, 0);
  }

  /** Processes that run keep what was set last. */
  remove(): void {
    delete process.env['TEST_WALL_CLOCK'];
    delete process.env['LD_PRELOAD'];
    closeSync(this.#file);
    rmSync(this.#directory, { recursive: true });
  }
}
