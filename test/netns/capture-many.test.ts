// Many pods on one node: what one costs does not depend on how many there are, and nothing of them is left behind.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ManyCaptured } from '../support/capture-many.ts';
import { sanitized } from '../support/mesh.ts';
import { requireRoot, run } from '../support/netns.ts';

const count = 60;
const prefix = `cvm${process.pid}-`;
const support = join(import.meta.dirname, '../support');
const namespaces = (verb: 'add' | 'delete'): string =>
  run('python3', join(support, 'many-namespaces.py'), verb, prefix, '0', String(count));
/** All that capture may change in a namespace, as text. */
const stateOf = (n: number): string =>
  [
    ['ip', '-n', `${prefix}${n}`, '-4', 'rule'],
    ['ip', '-n', `${prefix}${n}`, '-6', 'rule'],
    ['ip', '-n', `${prefix}${n}`, '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-n', `${prefix}${n}`, '-6', 'route', 'show', 'table', 'all'],
    ['ip', 'netns', 'exec', `${prefix}${n}`, 'tc', 'qdisc', 'show'],
    [
      'ip',
      'netns',
      'exec',
      `${prefix}${n}`,
      'sysctl',
      'net.ipv4.conf.eth0.rp_filter',
      'net.ipv4.conf.eth0.accept_local',
    ],
    ['ip', 'netns', 'exec', `${prefix}${n}`, 'ss', '-Htan'],
  ]
    .map((command) => run(...command))
    .join('\n');

describe('capture of many pods', function () {
  this.timeout(180_000);
  let bpffs: string;
  let untouched: readonly string[];
  let result: ManyCaptured;

  before(function () {
    requireRoot(this);
    bpffs = mkdtempSync(join(tmpdir(), 'culvert-bpffs-'));
    namespaces('add');
    untouched = [0, count - 1].map(stateOf);
    result = JSON.parse(
      execFileSync(process.execPath, [join(support, 'capture-many.ts'), bpffs, prefix, String(count)], {
        encoding: 'utf8',
      }),
    ) as ManyCaptured;
  });

  after(() => {
    if (bpffs === undefined) return;
    namespaces('delete');
    run('umount', bpffs);
    rmSync(bpffs, { recursive: true });
  });

  it('finds nothing amiss in any of them', () => {
    assert.deepEqual(result.faults, []);
    assert.equal(result.pinned.captured, count);
  });

  it('does the same work for the last as for the first', () => {
    assert.equal(new Set(result.attachCalls).size, 1, `calls: ${result.attachCalls.join(' ')}`);
    assert.equal(new Set(result.detachCalls).size, 1, `calls: ${result.detachCalls.join(' ')}`);
    assert.ok((result.attachCalls[0] ?? 0) > 20);
  });

  it('keeps at most 20 descriptors and 150 KB for each', () => {
    const { descriptors, residentBytes } = result;
    const perPod = (values: { readonly before: number; readonly captured: number }): number =>
      (values.captured - values.before) / count;

    assert.ok(perPod(descriptors) <= 20, `${perPod(descriptors)} descriptors`);
    // A sanitizer surrounds each piece of memory with more of it, and keeps what was freed.
    if (!sanitized) assert.ok(perPod(residentBytes) <= 150_000, `${perPod(residentBytes)} bytes`);
  });

  it('leaves no pin, no descriptor and nothing in a namespace behind', () => {
    assert.equal(result.pinned.after, 0);
    assert.deepEqual(readdirSync(join(bpffs, 'culvert')), []);
    assert.ok(result.descriptors.after - result.descriptors.before <= 3);
    assert.deepEqual([0, count - 1].map(stateOf), untouched);
  });
});
