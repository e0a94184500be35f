// A ztunnel dies or is replaced under its holder, which keeps the listeners. Needs root.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { readCapture } from '../../src/playground/check/packets.ts';
import { claimTunnels, reportWire } from '../../src/playground/check/wire.ts';
import { eventually } from '../support/eventually.ts';
import type { Exchange } from '../support/mesh-agent.ts';
import type { Family, TestMesh } from '../support/mesh.ts';
import { requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';

const port = 7001;
const nodes = ['node1', 'node2'] as const;
const inFamilies = ['v4', 'v6'] as const;

describe('a ztunnel under its holder', function () {
  this.timeout(sanitized ? 180_000 : 60_000);
  let mesh: TestMesh;
  const target = (server: string, family: Family = 'v4') => ({
    host: mesh.address(server, family),
    port,
    timeoutMs: 8000,
  });

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'near', node: 'node1', captured: true },
        { name: 'guest', node: 'node2', captured: false },
        { name: 'far', node: 'node2', captured: true },
        { name: 'beyond', node: 'node2', captured: false },
      ],
      drainTimeout: '8s',
    });
    for (const server of ['near', 'far', 'beyond']) await mesh.pod(server).listen(port, 'echo');
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  /** Every way by which a connection can pass a node: out by a tunnel, in by one, plainly out, plainly in. */
  const ways = [
    { from: 'client', to: 'far', over: ['node1', 'node2'] },
    { from: 'client', to: 'beyond', over: ['node1'] },
    { from: 'guest', to: 'near', over: ['node1'] },
    { from: 'guest', to: 'far', over: ['node2'] },
  ] as const;

  function connectEveryWay(
    node: string,
  ): readonly { readonly way: string; readonly result: Promise<Exchange> }[] {
    return ways
      .filter(({ over }) => over.some((each) => each === node))
      .flatMap(({ from, to }) =>
        inFamilies.map((family) => ({
          way: `${from} to ${to}, ${family}`,
          result: mesh.pod(from).echo(target(to, family)),
        })),
      );
  }

  for (const node of nodes)
    it(`of ${node} is killed: what is open breaks, what connects meanwhile waits and gets through`, async () => {
      await mesh.pod('client').hold('open', target('far'));
      const tap = await mesh.mesh.tap('node2');

      const killed = performance.now();
      const pid = await mesh.mesh.killZtunnel(node);
      await eventually('the process is gone', () => isGone(pid));
      const attempts = connectEveryWay(node);
      const outcomes = await Promise.all(
        attempts.map(async ({ way, result }) => ({ way, outcome: (await result).outcome })),
      );
      const served = Math.min(
        ...(await Promise.all(attempts.map(({ result }) => result))).map(({ ms }) => ms),
      );
      const servedMs = performance.now() - killed;

      assert.deepEqual(
        outcomes.filter(({ outcome }) => outcome !== 'ok'),
        [],
      );
      assert.notEqual((await mesh.pod('client').ended('open', 5000)).outcome, 'timeout');
      const { pods, holder } = await mesh.status(node);
      assert.ok(pods.every((pod) => pod.captured && pod.adopted && pod.faults.length === 0));
      assert.equal(holder?.restarts, 1);
      assert.notEqual(await mesh.mesh.ztunnelPid(node), pid);
      const report = reportWire(readCapture(await tap.stop()), 'culvert-carries');
      const members = new Set(['client', 'near', 'far'].flatMap((name) => mesh.mesh.pod(name).addresses));
      const claims = claimTunnels(report, members, { tunnelPort: 15_008, whole: false });
      assert.deepEqual(claims.faults, []);
      console.log(
        `      ${node}: first served ${Math.round(served)} ms, all ${Math.round(servedMs)} ms after the kill`,
      );
    });

  const loads = [
    ['client', 'far', 'v4'],
    ['client', 'far', 'v6'],
    ['client', 'beyond', 'v4'],
    ['guest', 'near', 'v4'],
    ['guest', 'far', 'v6'],
  ] as const;

  /** Clients that connect one after the other; `stop` tells how many did, and what failed. */
  async function keepConnecting(): Promise<{
    stop(): Promise<{ readonly total: number; readonly failures: readonly string[] }>;
  }> {
    const name = (index: number) => `load ${index}`;
    for (const [index, [from, to, family]] of loads.entries())
      await mesh.pod(from).load(name(index), target(to, family), 1);
    return {
      stop: async () => {
        const all = await Promise.all(
          loads.map(async ([from, to, family], index) => {
            const { total, failures } = await mesh.pod(from).stop(name(index));
            return { total, failures: failures.map((failure) => `${from} to ${to}, ${family}: ${failure}`) };
          }),
        );
        return {
          total: all.reduce((sum, { total }) => sum + total, 0),
          failures: all.flatMap(({ failures }) => failures),
        };
      },
    };
  }

  for (const node of nodes)
    it(`of ${node} is replaced: nobody is refused, and what is open lives on until the old one's deadline`, async () => {
      await mesh.pod('client').hold('long', target('far'));
      const before = await mesh.mesh.ztunnelPid(node);
      const clients = await keepConnecting();
      const asked = performance.now();

      mesh.mesh.replaceZtunnel(node);
      await eventually('another serves', async () => (await mesh.mesh.ztunnelPid(node)) !== before, 20_000);
      const tookMs = performance.now() - asked;
      assert.equal((await mesh.pod('client').probe('long')).outcome, 'ok');
      const { holder, pods } = await mesh.status(node);
      await eventually('the old one ends at its deadline', () => isGone(before), 20_000);
      const endedMs = performance.now() - asked;

      assert.notEqual((await mesh.pod('client').ended('long', 1000)).outcome, 'timeout');
      const { total, failures } = await clients.stop();
      assert.deepEqual(failures, []);
      assert.ok(total > 100, `${total} connections`);
      assert.ok(
        endedMs - tookMs > 7000,
        `the old one ended ${endedMs - tookMs} ms after its successor served`,
      );
      assert.ok(pods.every((pod) => pod.captured && pod.adopted && pod.faults.length === 0));
      assert.equal(holder?.pid, mesh.mesh.ztunnel(node).pid);
      console.log(`      ${node}: replaced after ${Math.round(tookMs)} ms, 0 of ${total} connections failed`);
    });

  it('that gets SIGTERM itself serves until its successor does', async () => {
    const before = await mesh.mesh.ztunnelPid('node2');
    const clients = await keepConnecting();

    process.kill(before, 'SIGTERM');
    await eventually('it has ended', () => isGone(before), 20_000);

    assert.notEqual(await mesh.mesh.ztunnelPid('node2'), before);
    assert.deepEqual((await clients.stop()).failures, []);
  });

  it('ends with its holder, whose status is its own', async () => {
    const holder = mesh.mesh.ztunnel('node2');

    holder.signal('SIGTERM');

    assert.equal(await holder.exited, 0);
  });
});

/** Dead, its sockets closed, and its holder knows. */
async function isGone(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${pid}/stat`).catch(() => undefined)) === undefined;
}
