// The processes of the suite: who attacks, who is attacked, who is innocent. What one uses is not counted as another's.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Suffered } from './field.ts';
import type { NeighbourReport, VictimAnswer, VictimQuestion, VictimSetup } from './scene.ts';

/** What the process used at one moment: CPU seconds of the engine's threads and of all, memory in bytes. */
export interface Usage {
  readonly engineSeconds: number;
  readonly allSeconds: number;
  readonly residentBytes: number;
}

class Child {
  protected readonly child: ChildProcess;
  #turn: Promise<unknown> = Promise.resolve();

  /** `through`: a program with arguments that runs Node in turn. */
  protected constructor(file: string, execArgv: readonly string[], through: readonly string[] = []) {
    const [program = process.execPath, ...before] = [...through, process.execPath];
    this.child = fork(join(import.meta.dirname, file), [], {
      execPath: program,
      execArgv: [...before, ...execArgv],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  /** One question at a time. */
  protected ask(question: object | string): Promise<unknown> {
    const answer = this.#turn.then(async () => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error('it is dead');
      this.child.send(question);
      return await this.message();
    });
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  /** The next one; rejects when the process ends instead. */
  protected message(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const died = (code: unknown, signal: unknown): void =>
        reject(new Error(`${this.constructor.name} died: ${String(code)} ${String(signal)}`));
      this.child.once('exit', died);
      this.child.once('message', (message) => {
        this.child.off('exit', died);
        resolve(message);
      });
    });
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.disconnect();
    await once(this.child, 'exit');
  }
}

/** The attacker in its namespace, see arena.ts. */
export class ArenaProcess extends Child {
  static async start(): Promise<ArenaProcess> {
    const arena = new ArenaProcess();
    await arena.message();
    return arena;
  }

  private constructor() {
    super('arena.ts', [], ['unshare', '--net', '--']);
  }

  /** Rejects with what the attack threw. */
  async suffer(name: string): Promise<Suffered> {
    const answer = (await this.ask(name)) as Suffered | { readonly error: string };
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }
}

export class VictimProcess extends Child {
  static async start(setup: VictimSetup): Promise<VictimProcess> {
    const victim = new VictimProcess();
    await victim.ask(setup);
    return victim;
  }

  private constructor() {
    super('victim.ts', ['--expose-gc', '--max-semi-space-size=2']);
  }

  async state(question: VictimQuestion = 'state'): Promise<VictimAnswer> {
    return (await this.ask(question)) as VictimAnswer;
  }

  usage(): Usage {
    const { pid } = this.child;
    let engine = 0;
    let all = 0;
    for (const id of readdirSync(`/proc/${pid}/task`)) {
      const task = `/proc/${pid}/task/${id}`;
      try {
        const used = Number(readFileSync(`${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
        all += used;
        if (readFileSync(`${task}/comm`, 'utf8').startsWith('culvert-engine')) engine += used;
      } catch {
        // The thread has ended.
      }
    }
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { engineSeconds: engine, allSeconds: all, residentBytes: Number(kilobytes) * 1024 };
  }
}

export class NeighbourProcess extends Child {
  #echoPort = 0;

  static async start(): Promise<NeighbourProcess> {
    const neighbour = new NeighbourProcess();
    neighbour.#echoPort = ((await neighbour.message()) as { readonly echoPort: number }).echoPort;
    return neighbour;
  }

  private constructor() {
    super('neighbour.ts', []);
  }

  get echoPort(): number {
    return this.#echoPort;
  }

  /** Talks from now on to the service behind `port`, the client pod's listener. */
  begin(port: number): void {
    this.child.send({ begin: port });
  }

  async report(): Promise<NeighbourReport> {
    return (await this.ask('report')) as NeighbourReport;
  }
}
