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

  /** One of each way by which a connection can pass a node: out by a tunnel, in by one, plainly out, plainly in. */
  function connectEveryWay(): readonly { readonly way: string; readonly result: Promise<Exchange> }[] {
    const ways = [
      ['client', 'far'],
      ['client', 'beyond'],
      ['guest', 'near'],
      ['guest', 'far'],
    ] as const;
    return ways.flatMap(([from, to]) =>
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
      const attempts = connectEveryWay();
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
});

/** Dead, its sockets closed, and its holder knows. */
async function isGone(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${pid}/stat`).catch(() => undefined)) === undefined;
}
