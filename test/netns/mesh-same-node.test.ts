// Two pods of one node, through a tunnel and joined: the same connections, and what the node says of each must be the same
// but for the name of how it was carried. Needs root.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { adminGet, adminJson } from '../../src/playground/admin.ts';
import type { SameNode } from '../../src/playground/daemons.ts';
import type { ConnectionsReport, EndedConnection } from '../../src/playground/live/connections.ts';
import type { WhyReport } from '../../src/ztunnel/why.ts';
import { eventually } from '../support/eventually.ts';
import type { TestMesh } from '../support/mesh.ts';
import { allowPolicy, requireRoot, sanitized, service, startTestMesh } from '../support/mesh.ts';

const ports = { echo: 7001, digest: 7003, farewell: 7005, reset: 7008, nobody: 7999 } as const;
const names = { tunnel: 'mutual_tls', direct: 'same_node' } as const;

/** What the node tells of an ended connection, at both of its ends. */
interface Told {
  readonly outbound: Readonly<Record<string, unknown>>;
  readonly inbound: Readonly<Record<string, unknown>> | undefined;
}

type Scenario = (mesh: TestMesh, dial: (port: number) => Target) => Promise<unknown>;
interface Target {
  readonly host: string;
  readonly port: number;
}

/** Each makes one connection to the server, and sees it end. */
const scenarios: Readonly<Record<string, Scenario>> = {
  'the client ends first': (mesh, dial) => mesh.pod('client').upload(dial(ports.digest), 100_000),
  'the server ends first': (mesh, dial) => mesh.pod('client').afterEnd(dial(ports.farewell), 100_000),
  'a service is dialled': (mesh) => mesh.pod('client').echo({ host: '10.96.0.20', port: 80 }, 1000),
  'IPv6 is used': (mesh) =>
    mesh.pod('client').echo({ host: mesh.address('server', 'v6'), port: ports.echo }, 1000),
  'the client resets it': async (mesh, dial) => {
    await mesh.pod('client').hold('held', dial(ports.echo));
    await mesh.pod('client').abort('held');
  },
  'the server resets it': (mesh, dial) => mesh.pod('client').echo(dial(ports.reset), 1),
  'nothing listens': (mesh, dial) => mesh.pod('client').echo(dial(ports.nobody), 1),
  'a policy denies it': (mesh, dial) => mesh.pod('stranger').echo(dial(ports.echo), 1),
  'a policy cuts it': async (mesh, dial) => {
    await mesh.pod('client').hold('held', dial(ports.echo));
    await mesh.apply('policies.yaml', [allowPolicy('server', 'server', { clients: ['nobody'] })]);
    await mesh.pod('client').ended('held', 5000);
    await mesh.apply('policies.yaml', [allowPolicy('server', 'server', { clients: ['client'] })]);
    await eventually('the policy is back', async () => (await why(mesh, 'mesh/client')).allowed);
  },
};

async function startMode(sameNode: SameNode): Promise<TestMesh> {
  const mesh = await startTestMesh({
    sameNode,
    pods: [
      { name: 'client', node: 'node1', captured: true },
      { name: 'stranger', node: 'node1', captured: true },
      { name: 'server', node: 'node1', captured: true },
    ],
    manifests: {
      'policies.yaml': [allowPolicy('server', 'server', { clients: ['client'] })],
      'services.yaml': [service('server', 'server', 20, { 80: ports.echo })],
    },
  });
  for (const mode of ['echo', 'digest', 'farewell', 'reset'] as const)
    await mesh.pod('server').listen(ports[mode], mode);
  return mesh;
}

describe('two pods of one node', function () {
  this.timeout(sanitized ? 120_000 : 30_000);
  const meshes = new Map<SameNode, TestMesh>();
  const told = new Map<SameNode, Map<string, Told>>();
  const meshOf = (mode: SameNode): TestMesh => meshes.get(mode) ?? assert.fail();

  before(async function () {
    this.timeout(180_000);
    requireRoot(this);
    for (const mode of ['tunnel', 'direct'] as const) {
      const mesh = await startMode(mode);
      meshes.set(mode, mesh);
      const results = new Map<string, Told>();
      for (const [name, run] of Object.entries(scenarios)) {
        const seen = (await recent(mesh)).length;
        await run(mesh, (port) => ({ host: mesh.address('server', 'v4'), port }));
        results.set(name, await toldSince(mesh, seen, names[mode]));
      }
      told.set(mode, results);
    }
  });

  after(async function () {
    this.timeout(60_000);
    for (const mesh of meshes.values()) await mesh.close();
  });

  for (const name of Object.keys(scenarios))
    it(`are told of alike when ${name}`, () => {
      const [tunnel, direct] = [told.get('tunnel')?.get(name), told.get('direct')?.get(name)];

      assert.ok(tunnel !== undefined && direct !== undefined);
      assert.deepEqual(direct, tunnel);
    });

  it('are counted alike, by both reporters, under another security policy', async () => {
    const [tunnel, direct] = await Promise.all([
      countersOf(meshOf('tunnel'), names.tunnel),
      countersOf(meshOf('direct'), names.direct),
    ]);

    assert.ok(direct.size >= 12, [...direct.keys()].join('\n'));
    assert.deepEqual([...direct].sort(), [...tunnel].sort());
    assert.deepEqual([...(await countersOf(meshOf('direct'), names.tunnel))], []);
  });

  it('are named in the access log as carried on the node, with both identities', async () => {
    const text = await readFile(meshOf('direct').mesh.ztunnelLog('node1'), 'utf8');
    const lines = text
      .split('\n')
      .filter((line) => line.includes('"connection complete"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);

    for (const direction of ['outbound', 'inbound']) {
      const line = lines.find((each) => each['direction'] === direction && each['bytes_sent'] !== 0);
      assert.equal(line?.['connection_security_policy'], 'same_node');
      assert.match(String(line['src.identity']), /sa\/client$/);
      assert.match(String(line['dst.identity']), /sa\/server$/);
      assert.equal(line['dst.hbone_addr'], undefined);
    }
  });

  it('are explained by why, with what it means for a NetworkPolicy', async () => {
    const [tunnel, direct] = await Promise.all(
      (['tunnel', 'direct'] as const).map((mode) => why(meshOf(mode), 'mesh/client')),
    );

    const route = (report: WhyReport | undefined) => report?.steps.find(({ step }) => step === 'route');
    assert.match(route(tunnel)?.outcome ?? '', /^mutual TLS to/);
    assert.match(route(direct)?.outcome ?? '', /^joined on this node/);
    assert.match(route(direct)?.detail ?? '', /NetworkPolicy/);
    const others = (report: WhyReport | undefined) => report?.steps.filter(({ step }) => step !== 'route');
    assert.deepEqual(others(direct), others(tunnel));
    assert.deepEqual(
      (await why(meshOf('direct'), 'mesh/stranger')).allowed,
      (await why(meshOf('tunnel'), 'mesh/stranger')).allowed,
    );
  });

  for (const mode of ['tunnel', 'direct'] as const)
    it(`have their open connection counted at both, and drained when one goes, by ${mode}`, async () => {
      const mesh = meshOf(mode);
      const connections = async (): Promise<Record<string, number>> =>
        Object.fromEntries((await mesh.status('node1')).pods.map((pod) => [pod.name, pod.connections]));
      const target = { host: mesh.address('server', 'v4'), port: ports.echo };
      await until(async () => (await mesh.pod('client').echo(target)).outcome === 'ok');
      await until(async () => Object.values(await connections()).every((count) => count === 0));
      await mesh.pod('client').hold('held', target);

      // The engine may let it in by an answer that it was given before, and tell of it afterwards.
      await until(async () => isDeepStrictEqual(await connections(), { client: 1, stranger: 0, server: 1 }));
      await mesh.mesh.removePod(mesh.mesh.pod('server'));
      assert.equal((await mesh.pod('client').probe('held')).outcome, 'ok');
      assert.deepEqual(await connections(), { client: 1, stranger: 0, server: 1 });
      assert.notEqual((await mesh.pod('client').echo({ ...target, timeoutMs: 1500 })).outcome, 'ok');
      await mesh.pod('client').release('held');

      // Well before the time that a drain has.
      await until(async () => !('server' in (await connections())));
    });
});

function why(mesh: TestMesh, source: string): Promise<WhyReport> {
  const destination = `${mesh.address('server', 'v4')}:${ports.echo}`;
  const query = new URLSearchParams({ source, destination });
  return adminJson<WhyReport>(mesh.mesh.adminSocket('node1'), `/why?${query}`);
}

async function recent(mesh: TestMesh): Promise<readonly EndedConnection[]> {
  return (await adminJson<ConnectionsReport>(mesh.mesh.adminSocket('node1'), '/connections')).recent;
}

/** Waits for both ends of what has ended since `seen` connections had. */
async function toldSince(mesh: TestMesh, seen: number, security: string): Promise<Told> {
  let ended: readonly EndedConnection[] = [];
  await until(async () => {
    ended = (await recent(mesh)).slice(seen);
    return ended.length >= 2;
  });
  for (const connection of ended) assert.equal(connection.security, security);
  const [outbound, ...more] = ended.filter(({ direction }) => direction === 'outbound');
  const [inbound, ...others] = ended.filter(({ direction }) => direction === 'inbound');
  assert.ok(outbound !== undefined && more.length + others.length === 0, JSON.stringify(ended));
  return { outbound: comparable(outbound), inbound: inbound && comparable(inbound) };
}

/** Without what differs from one connection to the next, or says only how it was carried. */
function comparable(connection: EndedConnection): Readonly<Record<string, unknown>> {
  const { source, destination, direction, reason, bytesSent, bytesReceived, policy } = connection;
  const rest = connection as unknown as Readonly<Record<string, unknown>>;
  return {
    direction,
    reason,
    bytesSent,
    bytesReceived,
    policy,
    source: { ...source, address: source.address.replace(/:\d+$/, '') },
    destination,
    service: rest['service'],
    allowed: rest['allowed'],
    // In brackets: an errno here, the code of a protocol there.
    error: String(rest['error']).replace(/ \(\d+\)$/, ''),
    traced: typeof rest['traceId'],
  };
}

/** Samples of connections that were carried so, with bytes only where the connection ended well. */
async function countersOf(mesh: TestMesh, security: string): Promise<ReadonlyMap<string, number>> {
  const { body } = await adminGet(mesh.mesh.adminSocket('node1'), '/metrics');
  const label = `connection_security_policy="${security}"`;
  const samples = body
    .split('\n')
    .filter((line) => line.startsWith('istio_tcp_') && line.includes(label))
    .map((line) => line.replace(label, ''));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at))] as const;
    }),
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'it does not come');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
