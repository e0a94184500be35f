// The scenario matrix: who dials (captured or not, allowed or not), whom (same node or other), how (family), and what
// the conversation is like; and all that stays on a node once more with pods joined there. Needs root.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readCapture } from '../../src/playground/check/packets.ts';
import { claimTunnels, reportWire } from '../../src/playground/check/wire.ts';
import { Wiretap } from '../../src/playground/wiretap.ts';
import type { Exchange } from '../support/mesh-agent.ts';
import type { Family, TestMesh } from '../support/mesh.ts';
import { allowPolicy, families, requireRoot, sanitized, service, startTestMesh } from '../support/mesh.ts';

const ports = { echo: 7001, greet: 7002, digest: 7003, source: 7004, farewell: 7005, peer: 7006 } as const;
const largeBytes = sanitized ? 1_000_000 : 8_000_000;
const parallel = sanitized ? 100 : 500;

const clients = [
  { name: 'client', captured: true, allowed: true },
  { name: 'stranger', captured: true, allowed: false },
  { name: 'guest', captured: false, allowed: true },
  { name: 'outsider', captured: false, allowed: false },
] as const;

const allServers = [
  { name: 'near', place: 'the same node' },
  { name: 'far', place: 'the other node' },
] as const;

type Client = (typeof clients)[number];

/** With `direct`, what goes to the other node is the same as before. */
const modes = [
  { sameNode: 'tunnel', name: 'the mesh', servers: allServers },
  { sameNode: 'direct', name: 'a node that joins its pods', servers: [allServers[0]] },
] as const;

for (const mode of modes)
  describe(`${mode.name}, for every client, place, family and conversation`, function () {
    this.timeout(sanitized ? 120_000 : 30_000);
    matrix(mode);
  });

function matrix({ sameNode, servers }: (typeof modes)[number]): void {
  let mesh: TestMesh;

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      sameNode,
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'stranger', node: 'node1', captured: true },
        { name: 'guest', node: 'node1', captured: false },
        { name: 'outsider', node: 'node1', captured: false },
        { name: 'near', node: 'node1', captured: true },
        { name: 'far', node: 'node2', captured: true },
        { name: 'beyond', node: 'node2', captured: false },
      ],
      manifests: {
        'policies.yaml': allServers.map(({ name }) =>
          allowPolicy(name, name, {
            clients: ['client'],
            ipBlocks: ['10.244.1.13/32', 'fd00:10:244:1::13/128'], // guest: it has no identity to show
          }),
        ),
        'services.yaml': allServers.map(({ name }, index) =>
          service(name, name, index + 10, { 80: ports.echo }),
        ),
      },
    });
    for (const server of ['near', 'far', 'beyond'])
      for (const mode of ['echo', 'greet', 'digest', 'source', 'farewell', 'peer'] as const)
        await mesh.pod(server).listen(ports[mode], mode);
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  for (const client of clients)
    for (const server of servers)
      for (const family of families) describeCase(() => mesh, client, server, family);

  for (const { name, place } of servers)
    for (const [family, host] of [
      ['v4', `10.96.0.${name === 'near' ? 10 : 11}`],
      ['v6', `fd00:10:96::${name === 'near' ? 10 : 11}`],
      ['v4-mapped', `::ffff:10.96.0.${name === 'near' ? 10 : 11}`],
    ] as const)
      it(`reaches a service on ${place} by its virtual ${family} address`, async () => {
        assertOk(await mesh.pod('client').echo({ host, port: 80 }));
      });

  for (const family of families)
    it(`passes a captured client on in plain TCP to a server outside the mesh, ${family}`, async () => {
      const host = mesh.address('beyond', family);

      assertOk(await mesh.pod('client').echo({ host, port: ports.echo }, 100_000));
      assertOk(await mesh.pod('client').greet({ host, port: ports.greet }));
    });

  for (const [server, member, device] of [
    ['far', 'router', 'to-node2'],
    ['near', 'node1', 'near'],
  ] as const)
    for (const family of families) {
      const joined = sameNode === 'direct' && server === 'near';
      it(`shows ${joined ? 'nothing' : 'TLS and no byte of the application'} on the wire to ${server}, ${family}`, async () => {
        const file = join(mesh.mesh.paths.directory, `${server}-${family}.pcap`);
        const tap = await Wiretap.start(mesh.mesh.netns(member), device, file);
        const target = { host: mesh.address(server, family), port: ports.echo };

        assertOk(await mesh.pod('client').echo(target, 100_000));
        assertOk(await mesh.pod('guest').echo(target, 100_000));

        const report = reportWire(readCapture(await tap.stop()), 'culvert-carries');
        const addresses = (...pods: readonly string[]) =>
          new Set(pods.flatMap((name) => mesh.mesh.pod(name).addresses));
        const members = addresses('client', server);
        const claims = claimTunnels(report, members, { tunnelPort: 15_008, whole: false });
        assert.deepEqual(claims.faults, []);
        if (joined) assert.equal(claims.streams, 0);
        else assert.ok(claims.bytes > 200_000, `${claims.bytes} bytes were seen`);
        // The capture can see plain TCP where there is some: that of the client outside the mesh.
        const guest = addresses('guest');
        assert.ok(report.streams.some(({ source, marked }) => guest.has(source) && marked));
      });
    }

  it('ends the connection, and not silently, when nothing listens on the port', async () => {
    const host = mesh.address(servers[0].name, 'v4');
    const result = await mesh.pod('client').echo({ host, port: 7999 });

    assert.ok(['reset', 'refused', 'ended'].includes(result.outcome), result.outcome);
    assert.ok(result.ms < 5000, `${result.ms} ms`);
  });
}

function describeCase(
  mesh: () => TestMesh,
  client: Client,
  server: (typeof allServers)[number],
  family: Family,
): void {
  const kind = client.captured ? 'a captured' : 'an uncaptured';
  const verdict = client.allowed ? 'an allowed' : 'a denied';
  const dial = (port: number): { host: string; port: number } => ({
    host: mesh().address(server.name, family),
    port,
  });
  const from = () => mesh().pod(client.name);

  describe(`from ${kind}, ${verdict.replace(/^an? /, '')} client to ${server.place}, ${family}`, () => {
    if (!client.allowed) {
      describeDenied(mesh, client, server.name, dial);
      return;
    }

    it('echoes when the client speaks first', async () => assertOk(await from().echo(dial(ports.echo))));

    it('carries the greeting of a server that speaks first', async () =>
      assertOk(await from().greet(dial(ports.greet))));

    it('keeps the answer coming after the client has ended its side', async () =>
      assertOk(await from().upload(dial(ports.digest), 100_000)));

    it('keeps bytes going after the server has ended its side', async () => {
      const before = await mesh().pod(server.name).seen(ports.farewell);
      const result = await from().afterEnd(dial(ports.farewell), 100_000);

      assertOk(result);
      assert.equal(result.text, 'bye\n');
      const arrived = await eventually(async () => {
        const { bytesAfterEnd } = await mesh().pod(server.name).seen(ports.farewell);
        return bytesAfterEnd.length > before.bytesAfterEnd.length ? bytesAfterEnd.at(-1) : undefined;
      });
      assert.equal(arrived, 100_000);
    });

    it('shows the server the client by its own address', async () => {
      const result = await from().raw(dial(ports.peer), Buffer.alloc(0));

      const expected = mesh().address(client.name, family === 'v6' ? 'v6' : 'v4');
      assert.equal(result.text.trim().replace('::ffff:', ''), expected);
    });

    it(`moves ${largeBytes / 1e6} MB each way with the same checksum`, async () => {
      assertOk(await from().upload({ ...dial(ports.digest), timeoutMs: 20_000 }, largeBytes));
      assertOk(await from().download({ ...dial(ports.source), timeoutMs: 20_000 }, largeBytes));
      assertOk(await from().echo({ ...dial(ports.echo), timeoutMs: 20_000 }, largeBytes));
    });

    it(`serves ${parallel} connections at once`, async () => {
      const results = await from().parallel({ ...dial(ports.echo), timeoutMs: 25_000 }, parallel);

      assert.deepEqual(tally(results), { ok: parallel });
    });
  });
}

function describeDenied(
  mesh: () => TestMesh,
  client: Client,
  server: string,
  dial: (port: number) => { host: string; port: number },
): void {
  const refusal = (result: Exchange): void => {
    assert.ok(['reset', 'ended', 'refused'].includes(result.outcome), result.outcome);
    assert.equal(result.received, 0);
  };
  const seen = async (port: number): Promise<number> => (await mesh().pod(server).seen(port)).connections;

  it('lets nothing reach a server whose client speaks first', async () => {
    const before = await seen(ports.echo);

    refusal(await mesh().pod(client.name).echo(dial(ports.echo)));
    assert.equal(await seen(ports.echo), before);
  });

  it('lets no greeting out of a server that speaks first', async () => {
    const before = await seen(ports.greet);

    refusal(await mesh().pod(client.name).greet(dial(ports.greet)));
    assert.equal(await seen(ports.greet), before);
  });

  it('refuses fifty at once', async () => {
    const results = await mesh().pod(client.name).parallel(dial(ports.echo), 50);

    for (const result of results) refusal(result);
  });
}

function assertOk(result: Exchange): void {
  assert.equal(result.outcome, 'ok', JSON.stringify({ ...result, text: result.text.slice(0, 40) }));
}

function tally(results: readonly Exchange[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of results) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = Date.now() + 5000;
  for (;;) {
    const found = await look();
    if (found !== undefined || Date.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
