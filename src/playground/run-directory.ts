// What a playground leaves on the machine while it runs is written down before it is made, so that the next one can
// remove what a crashed one left. A run belongs to a process: its id and start time, since ids are used again.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeNetwork } from './topology/network.ts';

export const runRoot = '/run/culvert/playground';

export interface RunState {
  readonly id: string;
  readonly ownerPid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  readonly ownerStartTicks: string;
  readonly netns: readonly string[];
  /** Directories to be removed with the run, such as pins under bpffs. */
  readonly directories: readonly string[];
}

/** Where a run keeps its files. */
export function runDirectory(id: string): string {
  return join(runRoot, id);
}

/** A new run directory with its state. The id is short: interface and namespace names are made of it. */
export async function openRun(
  describe: (id: string) => Pick<RunState, 'netns' | 'directories'>,
): Promise<RunState> {
  const id = `cv${randomBytes(2).toString('hex')}`;
  const state: RunState = {
    id,
    ownerPid: process.pid,
    ownerStartTicks: (await startTicks(process.pid)) ?? '',
    ...describe(id),
  };
  await mkdir(runDirectory(id), { recursive: true });
  const path = join(runDirectory(id), 'state.json');
  await writeFile(`${path}.new`, JSON.stringify(state, null, 2));
  await rename(`${path}.new`, path);
  return state;
}

/** Removes everything the run wrote down: processes, namespaces, directories and at last its own directory. */
export async function removeRun(state: RunState): Promise<void> {
  await removeNetwork(state.netns);
  for (const directory of state.directories) await rm(directory, { recursive: true, force: true });
  await rm(runDirectory(state.id), { recursive: true, force: true });
}

/** Removes the runs whose owner is gone; returns their ids. */
export async function removeDeadRuns(): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const state of await runs()) {
    if (await isAlive(state)) continue;
    await removeRun(state);
    removed.push(state.id);
  }
  return removed;
}

/** The runs whose owner lives. */
export async function liveRuns(): Promise<readonly RunState[]> {
  const live: RunState[] = [];
  for (const state of await runs()) if (await isAlive(state)) live.push(state);
  return live;
}

async function runs(): Promise<readonly RunState[]> {
  const found: RunState[] = [];
  for (const id of await readdir(runRoot).catch(() => [])) {
    const text = await readFile(join(runDirectory(id), 'state.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) found.push(JSON.parse(text) as RunState);
  }
  return found;
}

async function isAlive(state: RunState): Promise<boolean> {
  return (await startTicks(state.ownerPid)) === state.ownerStartTicks;
}

/** Undefined if there is no such process. The command's name may hold spaces and brackets: count from the last `)`. */
async function startTicks(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}
