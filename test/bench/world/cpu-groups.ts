// CPU control groups: one that keeps the rest of the machine out of the way, and one per thread to cap its share.
// Version 1 where its cpu hierarchy is mounted, else version 2 where the root hands the controller on.
import { mkdtemp, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Hierarchy {
  readonly version: 1 | 2;
  readonly path: string;
}

const periodUs = 10_000;
const prefix = 'culvert-bench-';

/** Where groups can be made, or undefined if this machine has no CPU controller to give. */
async function findHierarchy(): Promise<Hierarchy | undefined> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const v1 = mounts.find(
    ([, , type, options = '']) => type === 'cgroup' && options.split(',').includes('cpu'),
  );
  if (v1?.[1] !== undefined) return { version: 1, path: v1[1] };
  const v2 = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  if (v2 === undefined) return undefined;
  const handedOn = await readFile(join(v2, 'cgroup.subtree_control'), 'utf8').catch(() => '');
  return handedOn.split(/\s+/).includes('cpu') ? { version: 2, path: v2 } : undefined;
}

export class CpuGroups {
  readonly #hierarchy: Hierarchy;
  readonly #made: string[] = [];
  #first: string | undefined;

  private constructor(hierarchy: Hierarchy) {
    this.#hierarchy = hierarchy;
  }

  /** Undefined where this machine has no CPU controller to give. Removes what ended runs left. */
  static async open(): Promise<CpuGroups | undefined> {
    const hierarchy = await findHierarchy();
    if (hierarchy === undefined) return undefined;
    const groups = new CpuGroups(hierarchy);
    for (const name of await readdir(hierarchy.path))
      if (name.startsWith(prefix) && !(await isAlive(Number(name.slice(prefix.length).split('-')[0]))))
        await removeTree(join(hierarchy.path, name));
    return groups;
  }

  /** This process and all it starts from now on come first wherever they want a core. */
  async comeFirst(): Promise<void> {
    const first = await this.#make(this.#hierarchy.path);
    if (this.#hierarchy.version === 1) await set(first, 'cpu.shares', '262144');
    else await set(first, 'cpu.weight', '10000');
    if (this.#hierarchy.version === 2) await set(first, 'cgroup.subtree_control', '+cpu');
    this.#first = first;
    await this.setApart(process.pid); // version 2 wants processes in leaves only
  }

  /** Gives a process a group of its own in the one that comes first: it gets a core as a container would. */
  async setApart(pid: number): Promise<void> {
    if (this.#first !== undefined) await set(await this.#make(this.#first), 'cgroup.procs', String(pid));
  }

  /** Each thread of the process with that name may use `share` of a core at most. Throws if it has none. */
  async capThreads(pid: number, name: string, share: number): Promise<void> {
    const threads: string[] = [];
    for (const thread of await readdir(`/proc/${pid}/task`))
      if ((await readFile(`/proc/${pid}/task/${thread}/comm`, 'utf8')).trim() === name) threads.push(thread);
    if (threads.length === 0) throw new Error(`process ${pid} has no thread ${name}`);
    const quotaUs = Math.round(periodUs * share);
    if (this.#hierarchy.version === 1) {
      for (const thread of threads) {
        const group = await this.#make(this.#hierarchy.path);
        await set(group, 'cpu.shares', '262144');
        await set(group, 'cpu.cfs_period_us', String(periodUs));
        await set(group, 'cpu.cfs_quota_us', String(quotaUs));
        await set(group, 'tasks', thread);
      }
      return;
    }
    const domain = await this.#make(this.#hierarchy.path);
    const leaves = await Promise.all(threads.map(() => this.#make(domain)));
    for (const leaf of leaves) await set(leaf, 'cgroup.type', 'threaded');
    await set(domain, 'cgroup.procs', String(pid));
    await set(domain, 'cgroup.subtree_control', '+cpu');
    for (const [index, leaf] of leaves.entries()) {
      await set(leaf, 'cpu.max', `${quotaUs} ${periodUs}`);
      await set(leaf, 'cgroup.threads', threads[index] ?? '');
    }
  }

  /** Removes the groups whose processes have ended; this process leaves its own. */
  async close(): Promise<void> {
    await set(this.#hierarchy.path, 'cgroup.procs', String(process.pid)).catch(() => undefined);
    for (const group of this.#made.reverse()) await rmdir(group).catch(() => undefined); // else the next run does it
  }

  async #make(parent: string): Promise<string> {
    const group = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
    this.#made.push(group);
    return group;
  }
}

async function set(group: string, file: string, value: string): Promise<void> {
  await writeFile(join(group, file), value);
}

async function removeTree(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true }))
    if (entry.isDirectory()) await removeTree(join(group, entry.name));
  await rmdir(group).catch(() => undefined); // somebody is in it still
}

async function isAlive(pid: number): Promise<boolean> {
  return await readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}
