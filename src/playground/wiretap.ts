// tcpdump on the router's link to a node: every packet between the nodes passes it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PlaygroundError } from './errors.ts';
import { enter } from './process.ts';

export class Wiretap {
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
  }

  /** Resolves when packets are being captured. */
  static async start(netns: string, device: string, file: string): Promise<Wiretap> {
    // Each packet is seen and written at once; root keeps the file, since its directory belongs to root alone.
    const options = ['-n', '-s', '0', '-B', '32768', '-U', '--immediate-mode', '-Z', 'root'];
    const command = ['tcpdump', '-i', device, ...options, '-w', file, 'tcp'];
    const [program, ...args] = enter(netns, 'node', command);
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new PlaygroundError('ERR_CULVERT_PLAYGROUND_PROCESS', `tcpdump does not capture: ${why}`));
      child.once('error', (error) => fail(error.message));
      child.once('exit', () => fail(said.trim()));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-4096);
        if (said.includes('listening on')) resolve();
      });
    });
    return new Wiretap(child, file);
  }

  /** Stops capturing when what has passed is written, and returns the file's content. */
  async stop(): Promise<Buffer> {
    // Where traffic goes on, nothing is ever quiet: then half a second is more than what passed before needs.
    for (let before = -1, quiet = 0, looks = 0; quiet < 4 && looks < 20; looks += 1) {
      const { size } = await stat(this.#file);
      quiet = size === before ? quiet + 1 : 0;
      before = size;
      await delay(25);
    }
    await this.close();
    return readFile(this.#file);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    await exited;
  }
}
