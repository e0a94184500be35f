// What machine, what versions: without them a figure says nothing.
import { execFile } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { envoyVersion } from '../../../setup/envoy.js';
import type { Tools } from '../world/tools.ts';
import type { Provenance } from './answers.ts';

const run = promisify(execFile);

export async function provenance(tools: Tools): Promise<Provenance> {
  const haproxy =
    /version (\S+)/.exec((await run(tools.haproxy, ['-v'])).stdout)?.[1] ?? 'of unknown version';
  // A checkout without git has no commit to name.
  const commit = await run('git', ['describe', '--always', '--dirty', '--exclude', '*'], {
    cwd: import.meta.dirname,
  }).then(
    ({ stdout }) => stdout.trim(),
    () => 'outside of git',
  );
  const cores = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine: `${cores.length} cores (${cores[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}`,
    versions: {
      Node: process.versions.node,
      OpenSSL: process.versions.openssl,
      Envoy: envoyVersion,
      HAProxy: haproxy,
    },
  };
}
