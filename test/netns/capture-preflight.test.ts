import { strict as assert } from 'node:assert';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { preflight } from '../../src/engine/preflight.ts';
import { requireRoot, run } from '../support/netns.ts';

describe('preflight on this machine', function () {
  this.timeout(30_000);

  it('finds everything that capture needs, and leaves nothing', function () {
    requireRoot(this);
    const bpffs = mkdtempSync(join(tmpdir(), 'culvert-bpffs-'));
    try {
      const findings = preflight(bpffs);

      assert.deepEqual(
        findings.filter((finding) => !finding.ok),
        [],
      );
      assert.deepEqual(
        findings.map((finding) => finding.check),
        [
          'kernel',
          'capabilities',
          'btf',
          'addon',
          'bpffs',
          'programs',
          'sk_lookup',
          'egress guard',
          'iter/tcp',
        ],
      );
      assert.deepEqual(
        readdirSync(bpffs).filter((name) => name.includes('culvert')),
        [],
      );
    } finally {
      run('umount', bpffs);
      rmSync(bpffs, { recursive: true });
    }
  });

  it('says what to do where bpffs cannot be mounted', function () {
    requireRoot(this);

    const findings = preflight('/proc/nothing-here');

    assert.equal(findings.find((finding) => finding.check === 'bpffs')?.ok, false);
    assert.match(findings.at(-1)?.detail ?? '', /mount -t bpf/);
  });
});
