// Makes and removes what `planNetwork` describes, through iproute2 (one batch per namespace).
import { spawn } from 'node:child_process';
import { readdir, readlink, rm, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../runtime/errors.ts';
import { PlaygroundError } from '../errors.ts';
import type { NetworkPlan } from './plan.ts';

/** Runs a command to its end and returns its standard output; `input` goes to its standard input. */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdin.on('error', () => undefined); // a command that does not read its input says why by its exit code
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).catch((cause: unknown) => {
    throw networkError(`cannot run ${command}: ${messageOf(cause)}`, cause);
  });
  if (code !== 0)
    throw networkError(`${[command, ...args].join(' ')} failed with code ${String(code)}: ${err.trim()}`);
  return out;
}

/** Makes every namespace of the plan. On failure the namespaces made so far stay: remove them by `removeNetwork`. */
export async function createNetwork(plan: NetworkPlan): Promise<void> {
  const names = plan.namespaces.map((namespace) => namespace.netns);
  await run('ip', ['-batch', '-'], names.map((name) => `netns add ${name}\n`).join(''));
  for (const { netns, forwards } of plan.namespaces) {
    const settings = forwards ? `${quickAddresses}; ${forwarding}` : quickAddresses;
    await run('nsenter', [`--net=/run/netns/${netns}`, 'sh', '-c', settings]);
  }
  // Interfaces come after all settings: they inherit those of the namespace they are made in.
  for (const { netns, commands } of plan.namespaces)
    await run('ip', ['-n', netns, '-batch', '-'], `${commands.join('\n')}\n`);
}

/** No duplicate address detection: link-local addresses work at once instead of after two seconds. */
const quickAddresses = 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad';
const forwarding = 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';

/** Ends every process inside these namespaces, then removes them and their files in /etc/netns. Idempotent. */
export async function removeNetwork(netnsNames: readonly string[]): Promise<void> {
  await endProcessesIn(netnsNames);
  const present = new Set(await namespaces());
  const lines = netnsNames.filter((name) => present.has(name)).map((name) => `netns delete ${name}\n`);
  if (lines.length > 0) await run('ip', ['-force', '-batch', '-'], lines.join(''));
  for (const name of netnsNames) await rm(`/etc/netns/${name}`, { recursive: true, force: true });
  if ((await list('/etc/netns')).length === 0) await rm('/etc/netns', { recursive: true, force: true });
}

/** Names of all network namespaces that `ip netns` knows. */
export async function namespaces(): Promise<readonly string[]> {
  return list('/run/netns');
}

/** Ids of the processes whose network namespace is one of these. */
export async function processesIn(netnsNames: readonly string[]): Promise<readonly number[]> {
  const inodes = new Set<string>();
  for (const name of netnsNames) {
    const found = await stat(`/run/netns/${name}`).catch(() => undefined);
    if (found !== undefined) inodes.add(`net:[${found.ino}]`);
  }
  if (inodes.size === 0) return [];
  const pids: number[] = [];
  for (const entry of await list('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const netns = await readlink(`/proc/${entry}/ns/net`).catch(() => '');
    if (inodes.has(netns)) pids.push(Number(entry));
  }
  return pids;
}

/** SIGTERM, then SIGKILL for what is still there after a second. */
async function endProcessesIn(netnsNames: readonly string[]): Promise<void> {
  const deadline = Date.now() + 1000;
  for (let round = 0; round < 200; round += 1) {
    const pids = await processesIn(netnsNames);
    if (pids.length === 0) return;
    const late = Date.now() > deadline;
    if (round === 0 || late) for (const pid of pids) signal(pid, late ? 'SIGKILL' : 'SIGTERM');
    await delay(25);
  }
  throw networkError(`processes in ${netnsNames.join(', ')} do not end`);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function list(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(() => []);
}

function networkError(message: string, cause?: unknown): PlaygroundError {
  return new PlaygroundError('ERR_CULVERT_PLAYGROUND_NETWORK', message, { cause });
}
