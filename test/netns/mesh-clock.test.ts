// The wall clock of a whole mesh is set, forward and back: the real processes, with a clock of their own. Needs root.
import assert from 'node:assert/strict';
import type { Exchange } from '../support/mesh-agent.ts';
import type { TestMesh } from '../support/mesh.ts';
import { requireRoot, startTestMesh } from '../support/mesh.ts';
import { WallClock } from '../support/wall-clock.ts';

const port = 7001;
const hour = 3600;

describe('the mesh, when its wall clock is set', function () {
  this.timeout(90_000);
  let mesh: TestMesh;
  let clock: WallClock | undefined;

  before(async function () {
    requireRoot(this);
    clock = WallClock.install();
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'late', node: 'node1', captured: true },
        { name: 'server', node: 'node2', captured: true },
      ],
      certificateLifetime: '1h',
    });
    await mesh.pod('server').listen(port, 'echo');
    await mesh.pod('client').hold('open', { host: mesh.address('server', 'v4'), port });
  });
  after(async () => {
    await mesh?.close();
    clock?.remove();
  });

  const echo = (from = 'client'): Promise<Exchange> =>
    mesh.pod(from).echo({ host: mesh.address('server', 'v4'), port, timeoutMs: 3000 });

  async function serials(): Promise<string> {
    const nodes = await Promise.all(['node1', 'node2'].map((node) => mesh.status(node)));
    return nodes.flatMap(({ certificates }) => certificates.map(({ serial }) => serial)).join();
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) assert.ok(performance.now() < deadline, what);
  }

  async function openLives(): Promise<void> {
    assert.equal((await mesh.pod('client').probe('open')).outcome, 'ok');
  }

  it('by three days forward, all certificates are renewed and new connections open', async () => {
    const before = await serials();

    clock?.set(72 * hour);
    await openLives();
    await until('new connections', async () => (await echo()).outcome === 'ok');
    await until('other certificates', async () => {
      const after = await serials();
      return after.split(',').every((serial) => serial !== '' && !before.includes(serial));
    });

    const { ready, certificates } = await mesh.status('node1');
    assert.equal(ready, true);
    assert.ok(certificates.every(({ state }) => state === 'valid'));
    await openLives();
  });

  it('by a year back, no new tunnel opens, nothing open ends, and all is well when the clock is', async () => {
    clock?.set(-365 * 24 * hour);
    await until('the clock is seen', async () => (await echo('late')).outcome !== 'ok');
    assert.equal((await echo('late')).outcome, 'reset');
    await openLives();

    clock?.set(0);
    await until('new connections', async () => (await echo('late')).outcome === 'ok');
    assert.equal((await echo()).outcome, 'ok');
    const { ready } = await mesh.status('node1');
    assert.equal(ready, true);
    await openLives();
  });
});
