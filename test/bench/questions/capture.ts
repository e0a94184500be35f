import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ManyCaptured } from '../../support/capture-many.ts';
import type { Question } from '../question.ts';

const run = promisify(execFile);
const support = join(import.meta.dirname, '../../support');

export const question: Question = {
  name: 'capture',
  title: 'What does it cost to capture a pod, and to release it?',
  how:
    'So many network namespaces with a pair of interfaces each, captured one after the other and released again by one ' +
    'process: listeners, programs, rules and routes of both families. Times are of the JavaScript thread, medians.',
  contestants: ['100 pods', '1000 pods'],
  measures: [
    { key: 'capture', name: 'capture', unit: 'ms', better: 'less' },
    { key: 'last', name: 'capture of the last tenth', unit: 'ms', better: 'less' },
    { key: 'cpu', name: 'CPU of a capture', unit: 'ms', better: 'less' },
    { key: 'release', name: 'release', unit: 'ms', better: 'less' },
    { key: 'memory', name: 'memory of a pod', unit: 'KB', better: 'less' },
    { key: 'descriptors', name: 'descriptors of a pod', unit: '', better: 'less' },
    { key: 'left', name: 'pins and faults left', unit: '', better: 'less' },
  ],
  targets: [
    { name: 'capture of a pod, ms', measure: 'capture', of: '1000 pods', most: 20 },
    { name: 'capture of the last tenth, ms', measure: 'last', of: '1000 pods', most: 20 },
    { name: 'release of a pod, ms', measure: 'release', of: '1000 pods', most: 20 },
    { name: 'left behind', measure: 'left', of: '1000 pods', most: 0 },
  ],
  rounds: 1,
  start: ({ pace }) =>
    Promise.resolve({
      measure: (contestant) => measure(Math.max(10, Math.round(Number.parseInt(contestant, 10) * pace))),
      close: () => Promise.resolve(),
    }),
};

async function measure(pods: number): Promise<Readonly<Record<string, number>>> {
  const prefix = `cvb${process.pid}-`;
  const namespaces = (verb: 'add' | 'delete'): Promise<unknown> =>
    run('python3', [join(support, 'many-namespaces.py'), verb, prefix, '0', String(pods)]);
  const bpffs = await mkdtemp(join(tmpdir(), 'culvert-bench-bpffs-'));
  try {
    await namespaces('add');
    const { stdout } = await run(process.execPath, [
      join(support, 'capture-many.ts'),
      bpffs,
      prefix,
      String(pods),
    ]);
    return figures(JSON.parse(stdout) as ManyCaptured, pods);
  } finally {
    await namespaces('delete');
    await run('umount', [bpffs]).catch(() => undefined); // nothing was mounted
    await rm(bpffs, { recursive: true, force: true });
  }
}

function figures(result: ManyCaptured, pods: number): Readonly<Record<string, number>> {
  const { attachMs, detachMs, attachCpuMs, residentBytes, descriptors, pinned, faults } = result;
  return {
    capture: median(attachMs),
    last: median(attachMs.slice(-Math.ceil(pods / 10))),
    cpu: attachCpuMs,
    release: median(detachMs),
    memory: (residentBytes.captured - residentBytes.before) / pods / 1e3,
    descriptors: (descriptors.captured - descriptors.before) / pods,
    left: pinned.after + faults.length,
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
