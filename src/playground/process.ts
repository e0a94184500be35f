// A process of the playground: in a network namespace, in a process group of its own, its output in a file.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { PlaygroundError } from './errors.ts';

export interface ProcessSpec {
  readonly name: string;
  /** Name under /run/netns. */
  readonly netns: string;
  /** `pod`: with the namespace's own /etc/hosts, as `ip netns exec` does. `node`: mounts as they are, so that pins
   *  under bpffs are seen by the processes that come after. */
  readonly view: 'pod' | 'node';
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFile: string;
}

/** Programs of a pod get the system's tools, never those of the shell that started the playground. */
export const podPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The command line that enters the namespace first. */
export function enter(
  netns: string,
  view: 'pod' | 'node',
  command: readonly string[],
): readonly [string, ...string[]] {
  return view === 'pod'
    ? ['ip', 'netns', 'exec', netns, ...command]
    : ['nsenter', `--net=/run/netns/${netns}`, '--', ...command];
}

export class PlaygroundProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  /** Resolves when the process has ended, to its exit code, or null if a signal ended it. */
  readonly exited: Promise<number | null>;

  private constructor(spec: ProcessSpec, child: ChildProcess) {
    this.name = spec.name;
    this.logFile = spec.logFile;
    this.#child = child;
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  static async start(spec: ProcessSpec): Promise<PlaygroundProcess> {
    const [file, ...args] = enter(spec.netns, spec.view, spec.command);
    const log = openSync(spec.logFile, 'a');
    const child = spawn(file, args, {
      cwd: spec.cwd,
      detached: true, // a group of its own: Ctrl-C reaches the playground alone, which then stops things in order
      env: { ...(spec.view === 'pod' ? { PATH: podPath, LANG: 'C.UTF-8' } : process.env), ...spec.env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(
          new PlaygroundError(
            'ERR_CULVERT_PLAYGROUND_PROCESS',
            `cannot start ${spec.name}: ${cause.message}`,
            {
              cause,
            },
          ),
        ),
      );
    });
    return new PlaygroundProcess(spec, child);
  }

  /** Both `ip netns exec` and `nsenter` become the program they start, so this is the program's own id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Signals the whole group; nothing happens if it has ended. */
  signal(name: NodeJS.Signals): void {
    if (!this.running) return;
    try {
      process.kill(-this.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** SIGTERM, and SIGKILL if it is not gone after `graceMs`. Idempotent. */
  async close(graceMs = 3000): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}
