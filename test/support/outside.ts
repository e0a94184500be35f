// Clients and servers in a process of their own, whose descriptors and memory are not those of the process under test:
// the other end of holding-client.py.
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

export class Outside {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  constructor() {
    const program = resolve(import.meta.dirname, 'holding-client.py');
    this.#child = spawn('python3', [program], { stdio: 'pipe' });
    this.#child.stderr.pipe(process.stderr);
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** One of the commands that holding-client.py lists. */
  async ask(command: string): Promise<string> {
    this.#child.stdin.write(`${command}\n`);
    const answer = await this.#answers.next();
    assert.notEqual(answer.done, true, 'the clients have ended');
    return String(answer.value);
  }

  /** How many of the connections that are kept are served, are broken, and say nothing. */
  async use(): Promise<readonly number[]> {
    return (await this.ask('use')).split(' ').map(Number);
  }

  /** Its pipes are descriptors too: they are closed when this resolves. */
  async close(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}
