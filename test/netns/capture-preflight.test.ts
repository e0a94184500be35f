import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
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
      const findings = preflight({ bpffs });

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

  it('mounts bpffs where a fresh machine has none, and makes the directory of the pins in it', function () {
    requireRoot(this);
    this.timeout(30_000);
    const script = `
      const { preflight } = await import('${new URL('../../src/engine/preflight.ts', import.meta.url).href}');
      const findings = preflight({ bpffs: '/sys/fs/bpf/run/node1' });
      console.log(JSON.stringify(findings.filter((finding) => !finding.ok)));
    `;
    // In a mount namespace of its own, which ends with the process: the machine keeps its bpffs.
    const inside =
      'while umount -l /sys/fs/bpf 2>/dev/null; do :; done; exec "$0" --input-type=module -e "$1"';
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', inside, process.execPath, script],
      { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' },
    );

    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), []);
  });

  it('says what to do where bpffs cannot be mounted', function () {
    requireRoot(this);

    const findings = preflight({ bpffs: '/proc/nothing-here' });

    assert.equal(findings.find((finding) => finding.check === 'bpffs')?.ok, false);
    assert.match(findings.at(-1)?.detail ?? '', /mount -t bpf/);
  });
});
