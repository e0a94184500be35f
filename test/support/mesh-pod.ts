// The test's end of an agent in a pod (see mesh-agent.ts).
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { enter } from '../../src/playground/process.ts';
import type { HboneAttempt, HboneOutcome } from './mesh-hostile.ts';
import type { AgentCommand, Exchange, ServerMode, Target } from './mesh-agent.ts';

const program = fileURLToPath(new URL('./mesh-agent.ts', import.meta.url));

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class MeshPod {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #errors = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#answered(line));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text.slice(0, 4096)));
    child.once('exit', () => this.#failAll());
  }

  /** Starts an agent in a network namespace (a name under /run/netns). */
  static async start(netns: string): Promise<MeshPod> {
    const [file, ...args] = enter(netns, 'pod', [process.execPath, program]);
    const child = spawn(file, args, { stdio: 'pipe' });
    await once(child, 'spawn');
    return new MeshPod(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  listen(port: number, mode: ServerMode): Promise<unknown> {
    return this.send({ op: 'listen', port, mode });
  }

  /** Sends bytes and its end, and expects them back. */
  echo(target: Target, bytes = 64): Promise<Exchange> {
    return this.send({ op: 'exchange', bytes, expectFirst: false, ...target }) as Promise<Exchange>;
  }

  /** Waits for `hello` before it sends. */
  greet(target: Target, bytes = 64): Promise<Exchange> {
    return this.send({ op: 'exchange', bytes, expectFirst: true, ...target }) as Promise<Exchange>;
  }

  /** Sends bytes to a `digest` server and compares its answer. */
  upload(target: Target, bytes: number): Promise<Exchange> {
    return this.send({ op: 'exchange', bytes, ...target }) as Promise<Exchange>;
  }

  download(target: Target, bytes: number): Promise<Exchange> {
    return this.send({ op: 'download', bytes, ...target }) as Promise<Exchange>;
  }

  parallel(target: Target, count: number, bytes = 64): Promise<readonly Exchange[]> {
    return this.send({ op: 'parallel', count, bytes, ...target }) as Promise<readonly Exchange[]>;
  }

  afterEnd(target: Target, bytes: number): Promise<Exchange> {
    return this.send({ op: 'afterEnd', bytes, ...target }) as Promise<Exchange>;
  }

  hold(name: string, target: Target): Promise<Exchange> {
    return this.send({ op: 'hold', name, ...target }) as Promise<Exchange>;
  }

  probe(name: string): Promise<Exchange> {
    return this.send({ op: 'probe', name }) as Promise<Exchange>;
  }

  ended(name: string, timeoutMs: number): Promise<{ outcome: Exchange['outcome']; afterMs: number }> {
    return this.send({ op: 'ended', name, timeoutMs }) as ReturnType<MeshPod['ended']>;
  }

  release(name: string): Promise<unknown> {
    return this.send({ op: 'release', name });
  }

  abort(name: string): Promise<unknown> {
    return this.send({ op: 'abort', name });
  }

  load(name: string, target: Target, pauseMs = 0): Promise<unknown> {
    return this.send({ op: 'load', name, pauseMs, ...target });
  }

  stop(name: string): Promise<{ total: number; failures: readonly string[] }> {
    return this.send({ op: 'stop', name }) as ReturnType<MeshPod['stop']>;
  }

  raw(target: Target, bytes: Buffer): Promise<Exchange> {
    return this.send({ op: 'raw', base64: bytes.toString('base64'), ...target }) as Promise<Exchange>;
  }

  hbone(attempt: HboneAttempt): Promise<HboneOutcome> {
    return this.send({ op: 'hbone', ...attempt }) as Promise<HboneOutcome>;
  }

  seen(port: number): Promise<{ connections: number; resets: number; bytesAfterEnd: readonly number[] }> {
    return this.send({ op: 'seen', port }) as ReturnType<MeshPod['seen']>;
  }

  send(command: AgentCommand): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ id, command })}\n`);
    });
  }

  /** Ends the agent. Idempotent. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #answered(line: string): void {
    const { id, value, error } = JSON.parse(line) as { id: number; value?: unknown; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }

  #failAll(): void {
    for (const waiting of this.#waiting.values())
      waiting.reject(new Error(`the agent ended: ${this.#errors}`));
    this.#waiting.clear();
  }
}
