// Parts of the mesh die, stop and come back, with a server on another node and with one that its node joins with the
// client. Needs root.
import assert from 'node:assert/strict';
import { readCapture } from '../../src/playground/check/packets.ts';
import { claimTunnels, reportWire } from '../../src/playground/check/wire.ts';
import type { Family, TestMesh } from '../support/mesh.ts';
import { allowPolicy, requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';

const port = 7001;

const modes = [
  { name: 'the mesh', sameNode: 'tunnel', server: 'far', serverNode: 'node2' },
  { name: 'a mesh whose nodes join their pods', sameNode: 'direct', server: 'near', serverNode: 'node1' },
] as const;

for (const mode of modes)
  describe(`${mode.name}, when parts of it fail`, function () {
    this.timeout(sanitized ? 180_000 : 60_000);
    failures(mode);
  });

function failures({ sameNode, server, serverNode }: (typeof modes)[number]): void {
  let mesh: TestMesh;
  const target = (name: string, family: Family = 'v4') => ({ host: mesh.address(name, family), port });
  const policies = (clients: readonly string[]) => [
    allowPolicy('server', server, { clients, ipBlocks: ['10.244.2.14/32', 'fd00:10:244:2::14/128'] }), // and guest
  ];

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      sameNode,
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'stranger', node: 'node1', captured: true },
        { name: 'near', node: 'node1', captured: true },
        { name: 'guest', node: 'node2', captured: false },
        { name: 'far', node: 'node2', captured: true },
        { name: 'beyond', node: 'node2', captured: false },
      ],
      manifests: { 'policies.yaml': policies(['client']) },
      certificateLifetime: '10s',
      drainTimeout: '8s',
    });
    for (const name of ['near', 'far', 'beyond']) await mesh.pod(name).listen(port, 'echo');
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  describe('its controller', () => {
    it('may be gone: nodes keep serving and denying, open connections live on, and it is found again', async () => {
      await mesh.pod('client').hold('open', target(server));
      mesh.mesh.controller?.signal('SIGKILL');
      await mesh.mesh.controller?.exited;

      assert.equal((await mesh.pod('client').probe('open')).outcome, 'ok');
      assert.equal((await mesh.pod('client').echo(target(server))).outcome, 'ok');
      assert.notEqual((await mesh.pod('stranger').echo(target(server))).outcome, 'ok');

      await mesh.mesh.startController();
      await until(async () => (await mesh.status('node1')).xds.connected, 'node1 is connected again');
      await mesh.apply('policies.yaml', policies(['client', 'stranger']));
      await until(
        async () => (await mesh.pod('stranger').echo(target(server))).outcome === 'ok',
        'stranger is let in',
      );
      assert.equal((await mesh.pod('client').probe('open')).outcome, 'ok');
      await mesh.pod('client').release('open');
    });
  });

  describe('a certificate', () => {
    it('is renewed under load with no connection lost, new or open', async () => {
      await mesh.pod('client').hold('open', target(server));
      const before = await serials(mesh);
      await mesh.pod('client').load('load', target(server), 2);

      const after = await until(async () => {
        const now = await serials(mesh);
        return [...now].every(([identity, serial]) => before.get(identity) !== serial) ? now : undefined;
      }, 'every certificate is another');
      const { total, failures } = await mesh.pod('client').stop('load');

      assert.ok(after.size >= 4, `${after.size} certificates`);
      assert.ok(total > 10, `${total} connections`);
      assert.deepEqual(failures, []);
      assert.equal((await mesh.pod('client').probe('open')).outcome, 'ok');
      await mesh.pod('client').release('open');
    });
  });

  describe('a ztunnel', () => {
    it('that is killed lets nothing out or in, on the wire neither', async () => {
      await mesh.pod('client').hold('open', target(server));
      const tap = await mesh.mesh.tap('node2');
      mesh.mesh.ztunnel('node1').signal('SIGKILL');
      await mesh.mesh.ztunnel('node1').exited;

      const attempts = [
        mesh.pod('client').echo({ ...target(server), timeoutMs: 1500 }),
        mesh.pod('client').echo({ ...target(server, 'v6'), timeoutMs: 1500 }),
        mesh.pod('client').echo({ ...target('beyond'), timeoutMs: 1500 }),
        mesh.pod('guest').echo({ ...target('near'), timeoutMs: 1500 }),
        mesh.pod('guest').echo({ ...target('near', 'v6'), timeoutMs: 1500 }),
      ];
      for (const attempt of attempts) assert.equal((await attempt).received, 0);
      assert.notEqual((await mesh.pod('client').ended('open', 5000)).outcome, 'timeout');

      const report = reportWire(readCapture(await tap.stop()), 'culvert-carries');
      const members = new Set(['client', 'near', 'far'].flatMap((name) => mesh.mesh.pod(name).addresses));
      const claims = claimTunnels(report, members, { tunnelPort: 15_008, whole: false });
      assert.deepEqual(claims.faults, []);
      const dialled = report.streams.filter((stream) =>
        mesh.mesh.pod('client').addresses.includes(stream.source),
      );
      assert.ok(
        dialled.every((stream) => !stream.marked),
        'bytes of the application left the pod',
      );
    });

    it('comes back, adopts its pods and serves', async () => {
      await mesh.mesh.startZtunnel('node1');
      await mesh.mesh.handOver('node1');

      for (const family of ['v4', 'v6'] as const) {
        assert.equal((await mesh.pod('client').echo(target(server, family))).outcome, 'ok');
        assert.equal((await mesh.pod('guest').echo(target('near', family))).outcome, 'ok');
      }
      const { pods } = await mesh.status('node1');
      assert.equal(pods.filter((pod) => pod.captured).length, 3);
      assert.deepEqual(
        pods.flatMap((pod) => pod.faults),
        [],
      );
    });

    it('drains on SIGTERM: a transfer that is under way ends well, and it exits with 0', async () => {
      await mesh.pod('client').hold('open', target(server));
      const ztunnel = mesh.mesh.ztunnel(serverNode);

      ztunnel.signal('SIGTERM');
      const during = await mesh.pod('client').probe('open');
      await mesh.pod('client').release('open');
      const code = await ztunnel.exited;

      assert.equal(during.outcome, 'ok');
      assert.equal(code, 0);
      await mesh.mesh.startZtunnel(serverNode);
      await mesh.mesh.handOver(serverNode);
      await until(
        async () => (await mesh.pod('client').echo(target(server))).outcome === 'ok',
        'it is reached again',
      );
    });
  });

  describe('a pod', () => {
    it('that is withdrawn is released: new connections go direct', async () => {
      await mesh.mesh.removePod(mesh.mesh.pod('near'));

      await until(async () => {
        const { pods } = await mesh.status('node1');
        return !pods.some((pod) => pod.name === 'near' && pod.captured);
      }, 'near is not captured');
      // It leaves the list when its release begins; what is dialled until that is done is refused.
      await until(
        async () => (await mesh.pod('guest').echo(target('near'))).outcome === 'ok',
        'near is reached directly',
      );
    });

    it('that is added again is captured again', async () => {
      await mesh.mesh.addPod(mesh.mesh.pod('near'));

      const { pods } = await mesh.status('node1');
      assert.ok(pods.some((pod) => pod.name === 'near' && pod.captured));
      assert.equal((await mesh.pod('client').echo(target('near'))).outcome, 'ok');
    });
  });
}

async function serials(mesh: TestMesh): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const node of ['node1', 'node2'])
    for (const { identity, serial } of (await mesh.status(node)).certificates)
      found.set(`${node} ${identity}`, serial ?? '');
  return found;
}

/** Asks until there is an answer other than false and undefined; 20 seconds at most. */
async function until<T>(ask: () => Promise<T>, what: string): Promise<Exclude<T, false | undefined>> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
    assert.ok(Date.now() < deadline, `still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
