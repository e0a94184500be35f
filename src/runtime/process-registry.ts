// Where the processes of one machine write down that they run and where their admin endpoint is, so that `culvert
// status` finds them without being told. One file per process in the run directory; a dead process's file is ignored
// and removed by the next one of its name.
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ProcessRecord {
  readonly kind: 'controller' | 'ztunnel' | 'waypoint';
  /** Unique among its kind: the node of a ztunnel. */
  readonly name: string;
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedMs: number;
  /** The socket file of its admin endpoint: it is reachable from every network namespace of the machine. */
  readonly adminSocket: string;
}

/** Longest path that a unix socket can have (sun_path, without its NUL). */
const socketPathMax = 107;

/** Where the admin socket of a process belongs; undefined if the path would be too long for one. */
export function adminSocketPath(
  runDirectory: string,
  kind: ProcessRecord['kind'],
  name: string,
): string | undefined {
  const path = join(runDirectory, `${kind}-${safe(name)}.sock`);
  return Buffer.byteLength(path) <= socketPathMax ? path : undefined;
}

/** Writes the record; returns the function that removes it again. */
export async function registerProcess(
  runDirectory: string,
  record: ProcessRecord,
): Promise<() => Promise<void>> {
  await mkdir(runDirectory, { recursive: true });
  const path = join(runDirectory, `${record.kind}-${safe(record.name)}.json`);
  await writeFile(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return async () => {
    // A successor of the same name may have written its own meanwhile.
    if ((await readRecord(path))?.pid === record.pid) await rm(path, { force: true });
  };
}

/** The processes that run, by kind and name. A directory that is not there holds none. */
export async function listProcesses(runDirectory: string): Promise<readonly ProcessRecord[]> {
  const files = await readdir(runDirectory).catch(() => []);
  const records = await Promise.all(
    files.filter((file) => file.endsWith('.json')).map((file) => readRecord(join(runDirectory, file))),
  );
  return records
    .filter((record): record is ProcessRecord => record !== undefined && isAlive(record.pid))
    .sort((a, b) => `${a.kind} ${a.name}`.localeCompare(`${b.kind} ${b.name}`));
}

async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<ProcessRecord>;
    return typeof value.kind === 'string' &&
      typeof value.name === 'string' &&
      Number.isInteger(value.pid) &&
      (value.pid ?? 0) > 0 && // 0 and below are process groups
      typeof value.adminSocket === 'string'
      ? (value as ProcessRecord)
      : undefined;
  } catch {
    return undefined; // half-written, gone meanwhile, or somebody else's
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function safe(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, '_');
}
