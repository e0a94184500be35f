// Programs that the benches run, found or made by set-up before.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CpuGroups } from './cpu-groups.ts';
import { raiseFileLimit } from './file-limit.ts';
import { buildLoad } from './load.ts';

export interface Tools {
  /** The load program, compiled from test/bench/load. */
  readonly load: string;
  readonly envoy: string;
  readonly haproxy: string;
  /** Command line that starts Culvert as it is shipped. */
  readonly culvert: readonly string[];
  /** Open files that a process may have. */
  readonly filesMax: number;
  /** Where this machine has a CPU controller to give. */
  readonly groups?: CpuGroups | undefined;
}

const root = join(import.meta.dirname, '..', '..', '..');

/** Throws a sentence that says what is missing. */
export async function findTools(): Promise<Tools> {
  const envoy = process.env['ENVOY_PROGRAM'];
  if (envoy === undefined)
    throw new Error('ENVOY_PROGRAM names no Envoy: run `npm run bench`, which gets one');
  // As bin/culvert.js starts a ztunnel of a published package.
  const culvert = [process.execPath, '--max-semi-space-size=2', join(root, 'dist', 'cli', 'main.js')];
  return {
    load: await buildLoad(),
    envoy,
    haproxy: onPath('haproxy'),
    culvert,
    filesMax: await raiseFileLimit(),
    groups: await CpuGroups.open(),
  };
}

function onPath(program: string): string {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const directory of directories) {
    const path = join(directory, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  throw new Error(`${program} is not installed: run \`npm run bench\`, which installs it`);
}
