// tcpdump on the router's link to a node: every packet between the nodes passes it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
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
    // -U: each packet is written at once; -Z root: the file's directory belongs to root alone.
    const command = [
      'tcpdump',
      '-i',
      device,
      '-n',
      '-s',
      '0',
      '-B',
      '32768',
      '-U',
      '-Z',
      'root',
      '-w',
      file,
      'tcp',
    ];
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

  /** Stops capturing and returns the file's content. */
  async stop(): Promise<Buffer> {
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
