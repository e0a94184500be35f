// What a playground could leave on the machine, listed before and after.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runRoot } from '../run-directory.ts';
import { namespaces, run } from '../topology/network.ts';

/** Kind of thing -> what there is of it. */
export type Inventory = Readonly<Record<string, readonly string[]>>;

/** Lists namespaces, their files, links and rules of the host, mounts, pins under bpffs and run directories. */
export async function takeInventory(): Promise<Inventory> {
  return {
    'network namespace': await namespaces(),
    'directory in /etc/netns': await list('/etc/netns'),
    'link of the host': linesOf(
      await run('ip', ['-o', '-br', 'link']).then((text) => text.replace(/ .*$/gm, '')),
    ),
    'rule of the host': [...linesOf(await run('ip', ['rule'])), ...linesOf(await run('ip', ['-6', 'rule']))],
    mount: mountsOf(await readFile('/proc/self/mounts', 'utf8')),
    'pin under bpffs': (await tree('/sys/fs/bpf', 4)).filter((path) => !kernelPins.has(path)),
    'run directory': await list(runRoot),
    process: await culvertProcesses(),
  };
}

/** Where the kernel's own file systems belong: whoever comes first mounts them, and nobody unmounts them again. */
const commonMounts: ReadonlySet<string> = new Set(['/sys/fs/bpf', '/run/netns']);

/** What the kernel itself pins in a bpffs when it is mounted (CONFIG_BPF_PRELOAD). */
const kernelPins: ReadonlySet<string> = new Set(['/sys/fs/bpf/maps.debug', '/sys/fs/bpf/progs.debug']);

/** Mounts that could be ours: namespaces held open, bpffs elsewhere, anything in a run directory. */
function mountsOf(text: string): readonly string[] {
  const points = linesOf(text).map((line) => line.split(' ')[1] ?? '');
  return points.filter((point) => /netns|bpf|culvert/.test(point) && !commonMounts.has(point));
}

/** Sentences about what is there now and was not before. What bears the name of another run that lives is its own. */
export function leftBehind(
  before: Inventory,
  after: Inventory,
  others: readonly string[] = [],
): readonly string[] {
  return Object.entries(after).flatMap(([kind, names]) => {
    const known = new Set(before[kind]);
    return names
      .filter((name) => !known.has(name) && !others.some((id) => name.includes(id)))
      .map((name) => `${kind} ${name}`);
  });
}

/** Processes whose command line names a run directory or the namespaces of one. */
async function culvertProcesses(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await list('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(runRoot)) found.push(`${pid} ${command.replaceAll('\0', ' ').slice(0, 120)}`);
  }
  return found;
}

async function tree(directory: string, depth: number): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const paths: string[] = [];
  for (const entry of entries) {
    const path = join(directory, entry.name);
    paths.push(path);
    if (entry.isDirectory() && depth > 1) paths.push(...(await tree(path, depth - 1)));
  }
  return paths;
}

async function list(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(() => []);
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}
