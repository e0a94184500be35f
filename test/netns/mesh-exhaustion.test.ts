// A ztunnel that has as many connections as it has descriptors for. Needs root.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { adminGet } from '../../src/playground/admin.ts';
import type { TestMesh } from '../support/mesh.ts';
import { requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';
import { ztunnelPid } from '../support/ztunnel-pid.ts';

const port = 7001;

describe('a ztunnel without descriptors for more connections', function () {
  this.timeout(sanitized ? 240_000 : 120_000);
  const count = 120;
  let mesh: TestMesh;
  let refused: readonly string[] = [];

  before(async function () {
    requireRoot(this);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'late', node: 'node1', captured: true },
        { name: 'server', node: 'node2', captured: true },
      ],
      certificateLifetime: '20s',
    });
    await mesh.pod('server').listen(port, 'echo');
    await mesh.pod('client').hold('first', target());
    const { descriptors } = (await mesh.status('node1')).limits;
    assert.ok(descriptors !== undefined && descriptors.used > 20, JSON.stringify(descriptors));
    // A quarter of the limit is kept; the engine reads the limit each second.
    limit(Math.ceil(((descriptors.used + 60) * 4) / 3));
    await until('the limit is seen', async () => {
      const seen = (await mesh.status('node1')).limits['descriptors']?.max ?? 0;
      return seen < descriptors.max && seen <= descriptors.used + 61;
    });
  });
  after(() => mesh?.close());

  const target = (): { readonly host: string; readonly port: number } => ({
    host: mesh.address('server', 'v4'),
    port,
  });

  function limit(soft: number): void {
    const pid = ztunnelPid(mesh, 'node1');
    assert.equal(spawnSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]).status, 0);
  }

  it('refuses new ones with the reason, and goes on with those that are open', async () => {
    const names = Array.from({ length: count }, (_, each) => `held ${each}`);
    const outcomes = await Promise.all(
      names.map((name) => mesh.pod('client').hold(name, { ...target(), timeoutMs: 10_000 })),
    );
    refused = names.filter((_, each) => outcomes[each]?.outcome !== 'ok');

    assert.ok(
      refused.length > 20 && refused.length < count - 20,
      `${refused.length} of ${count} are refused`,
    );
    assert.ok(outcomes.every(({ outcome }) => outcome === 'ok' || outcome === 'reset'));
    assert.equal((await mesh.pod('client').probe('first')).outcome, 'ok');
    const kept = names.filter((name) => !refused.includes(name));
    assert.equal((await mesh.pod('client').probe(kept.at(-1) ?? '')).outcome, 'ok');
    const log = (): string => readFileSync(mesh.mesh.ztunnelLog('node1'), 'utf8');
    assert.match(log(), /"reason":"limit"/);
    await until('the bound is named', () => Promise.resolve(/"queue":"descriptors"/.test(log())));
  });

  it('still answers, renews its certificates and finds its controller again', async () => {
    const serials = async (): Promise<string> =>
      (await mesh.status('node1')).certificates.map(({ serial }) => serial).join();
    const before = await serials();
    const socket = mesh.mesh.adminSocket('node1');
    assert.match(
      (await adminGet(socket, '/metrics')).body,
      /culvert_overload_total\{queue="descriptors"\} [1-9]/,
    );

    mesh.mesh.controller?.signal('SIGKILL');
    await mesh.mesh.controller?.exited;
    await until('the controller is missed', async () => !(await mesh.status('node1')).xds.connected);
    await mesh.mesh.startController();

    await until('the controller is there', async () => (await mesh.status('node1')).xds.connected);
    await until('other certificates', async () => (await serials()) !== before);
    assert.equal((await mesh.pod('client').probe('first')).outcome, 'ok');
  });

  it('serves new ones as soon as there are descriptors', async () => {
    const held = Array.from({ length: count }, (_, each) => `held ${each}`);
    for (const name of held) if (!refused.includes(name)) await mesh.pod('client').release(name);

    await until('a new connection', async () => (await mesh.pod('late').echo(target())).outcome === 'ok');
  });

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) assert.ok(performance.now() < deadline, what);
  }
});
