// Commands inside pods: for `culvert playground exec` with the user's terminal, for the check with captured output.
import { spawn } from 'node:child_process';
import { PlaygroundError } from './errors.ts';
import { enter, podPath } from './process.ts';
import { liveRuns } from './run-directory.ts';
import { netnsName } from './topology/plan.ts';

export interface ExecResult {
  /** Null if it was ended at the time-out. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface ExecOptions {
  readonly timeoutMs: number;
  readonly cwd: string;
  /** Told of each piece of standard output as it comes. */
  readonly onOutput?: (text: string) => void;
  readonly signal?: AbortSignal;
}

const outputMax = 1024 * 1024;

/** Runs a command in a network namespace with a pod's view and gathers its output (1 MiB at most). */
export async function execCaptured(
  netns: string,
  command: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const [file, ...args] = enter(netns, 'pod', command);
  const startedMs = performance.now();
  const child = spawn(file, args, {
    cwd: options.cwd,
    detached: true,
    env: { PATH: podPath, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (stdout.length < outputMax) stdout += text;
    options.onOutput?.(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < outputMax) stderr += text;
  });
  const kill = (): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      // It ended by itself, and Node has not heard of it yet.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const timer = setTimeout(kill, options.timeoutMs);
  options.signal?.addEventListener('abort', kill, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout, stderr, ms: performance.now() - startedMs };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', kill);
  }
}

export interface ExecInPodOptions {
  readonly pod: string;
  readonly command: readonly string[];
  /** Which playground, if several run. */
  readonly run?: string;
}

/** Runs a command in a pod of the running playground, on the caller's terminal. Returns its exit code. */
export async function execInPod(options: ExecInPodOptions): Promise<number> {
  const netns = await findPod(options.pod, options.run);
  const [file, ...args] = enter(netns, 'pod', options.command);
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, PATH: podPath } });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}

/** The namespace of a pod, named by itself or as `namespace/name`. Throws ERR_CULVERT_PLAYGROUND_NOT_RUNNING. */
async function findPod(pod: string, run: string | undefined): Promise<string> {
  const running = await liveRuns();
  const chosen = running.filter((state) => run === undefined || state.id === run);
  const name = pod.slice(pod.lastIndexOf('/') + 1);
  const found = chosen.filter((state) => state.netns.includes(netnsName(state.id, name)));
  const [first, second] = found;
  if (first === undefined)
    throw notRunning(chosen.length === 0 ? noPlayground : noPod(pod, chosen[0]?.netns ?? []));
  if (second !== undefined)
    throw notRunning(
      `several playgrounds run: choose one by --run ${found.map(({ id }) => id).join(' or ')}`,
    );
  return netnsName(first.id, name);
}

const noPlayground = 'no playground runs: start one by `npm start` (or `culvert playground`)';

function noPod(pod: string, netns: readonly string[]): string {
  const pods = netns.map((name) => name.slice(name.indexOf('-') + 1)).filter((name) => name !== 'router');
  return `there is no pod ${pod}; there are ${pods.join(', ')}`;
}

function notRunning(message: string): PlaygroundError {
  return new PlaygroundError('ERR_CULVERT_PLAYGROUND_NOT_RUNNING', message);
}
