// What makes transparent capture hard, with the real engine behind it: ports that run out, 4-tuples that meet, probes,
// resets, ports and addresses of the application's own choice, families that come later. Needs root.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import type { PodStatus } from '../../src/ztunnel/status.ts';
import { eventually } from '../support/eventually.ts';
import { MeshPod } from '../support/mesh-pod.ts';
import type { Family, TestMesh } from '../support/mesh.ts';
import { peerAuthentication, requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';

const ports = { echo: 7001, reset: 7002, peerPort: 7003, again: 7008, dead: 7009 } as const;
const root = join(import.meta.dirname, '../..');
const runFile = promisify(execFile);

describe('a pitfall of capture', function () {
  this.timeout(sanitized ? 180_000 : 60_000);
  let mesh: TestMesh;
  const far = (port: number, family: Family = 'v4') => ({ host: mesh.address('far', family), port });

  const joiner = () => ({ host: mesh.address('joiner', 'v4') });

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'guest', node: 'node1', captured: false },
        { name: 'far', node: 'node2', captured: true },
        { name: 'joiner', node: 'node2', captured: true },
        { name: 'beyond', node: 'node1', captured: false },
      ],
      manifests: { 'modes.yaml': [peerAuthentication('PERMISSIVE')] },
    });
    await mesh.pod('far').listen(ports.echo, 'echo');
    await mesh.pod('far').listen(ports.reset, 'reset');
    await mesh.pod('far').listen(ports.peerPort, 'peerPort');
    await mesh.pod('beyond').listen(ports.echo, 'echo');
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  const sysctl = (pod: string, ...settings: readonly string[]) =>
    mesh.mesh.exec(pod, ['sysctl', '-qw', ...settings]);
  const ip = async (pod: string, args: string): Promise<void> => {
    const { code, stderr } = await mesh.mesh.exec(pod, ['ip', ...args.split(' ')]);
    assert.equal(code, 0, stderr);
  };
  async function statusOf(pod: string, node = 'node2'): Promise<PodStatus> {
    const found = (await mesh.status(node)).pods.find(({ name }) => name === pod);
    assert.ok(found !== undefined);
    return found;
  }

  for (const client of ['client', 'guest'])
    it(`is not that the ports of one client address run out: 2000 dials of ${client} to 400 ports`, async () => {
      await sysctl('far', 'net.ipv4.ip_local_port_range=32768 33167');
      try {
        for (let wave = 0; wave < 10; wave++) {
          const results = await mesh.pod(client).parallel({ ...far(ports.echo), timeoutMs: 30_000 }, 200, 1);
          assert.deepEqual(
            results.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'ok'),
            [],
          );
        }
      } finally {
        await sysctl('far', 'net.ipv4.ip_local_port_range=32768 60999');
      }
    });

  for (const family of ['v4', 'v6'] as const)
    it(`is not that both legs of a plaintext connection have one 4-tuple, ${family}`, async () => {
      const nextOf = ({ text }: { text: string }): number => 32_768 + ((Number.parseInt(text) + 1) % 32_768);
      const dial = (localPort?: number) =>
        mesh.pod('guest').raw(
          {
            ...far(ports.peerPort, family),
            timeoutMs: 3000,
            ...(localPort !== undefined && { localPort }),
          },
          Buffer.alloc(0),
        );
      let localPort = nextOf(await dial());

      for (let met = 0; met < 10;) {
        // From the very port that the engine would choose next for its own leg.
        const result = await dial(localPort);
        // Taken at the client's own end: another one, then.
        if (result.outcome === 'unreachable') {
          localPort = nextOf(await dial());
          continue;
        }
        assert.match(result.text, /^\d+\n$/, `from ${localPort}: ${result.outcome}`);
        assert.notEqual(Number.parseInt(result.text), localPort);
        localPort = nextOf(result);
        met += 1;
      }
    });

  it('is not that an application resets: the client sees a reset, tunnelled and in plaintext', async () => {
    for (const client of ['client', 'guest'])
      assert.equal((await mesh.pod(client).echo(far(ports.reset), 1)).outcome, 'reset', client);
  });

  it('is not that a client resets: the application sees a reset, tunnelled and in plaintext', async () => {
    for (const client of ['client', 'guest']) {
      const { resets } = await mesh.pod('far').seen(ports.echo);
      assert.equal((await mesh.pod(client).hold('brief', far(ports.echo))).outcome, 'ok');
      await mesh.pod(client).abort('brief');

      await becomes(async () => (await mesh.pod('far').seen(ports.echo)).resets === resets + 1);
    }
  });

  it('is not that an application has ports 15001, 15006 and 15008 of its own', async () => {
    for (const port of [15001, 15006]) {
      await mesh.pod('far').listen(port, 'echo');
      for (const client of ['client', 'guest'])
        assert.equal((await mesh.pod(client).echo(far(port))).outcome, 'ok', `${client} to ${port}`);
    }
    await mesh.pod('far').listen(15008, 'echo');
    assert.equal((await mesh.pod('client').echo(far(ports.echo))).outcome, 'ok');
  });

  it('is not that a program starts on a port that its pod has dialled, or is being dialled on', async () => {
    await mesh.pod('joiner').listen(ports.again, 'echo');
    assert.equal((await mesh.pod('client').hold('out', { ...joiner(), port: ports.again })).outcome, 'ok');
    assert.equal((await mesh.pod('guest').hold('in', { ...joiner(), port: ports.again })).outcome, 'ok');

    // Each of these connections has that port for its own end at ztunnel, in the namespace where somebody binds it now.
    await mesh.pod('client').listen(ports.again, 'echo');
    await mesh.pod('joiner').send({ op: 'unlisten', port: ports.again });
    await mesh.pod('joiner').listen(ports.again, 'echo');

    for (const [pod, name] of [
      ['client', 'out'],
      ['guest', 'in'],
    ] as const)
      assert.equal((await mesh.pod(pod).probe(name)).outcome, 'ok', name);
    await mesh.pod('client').release('out');
    await mesh.pod('guest').release('in');
  });

  it('is not that a pod gets a second address: it talks with itself there, and is not captured in a loop', async () => {
    await ip('far', 'address add 10.244.2.99/32 dev eth0');
    try {
      const self = { host: '10.244.2.99', port: ports.echo };
      await becomes(async () => {
        const before = (await statusOf('far')).capture['outbound_captured'] ?? 0;
        const { outcome } = await mesh.pod('far').echo(self);
        return outcome === 'ok' && (await statusOf('far')).capture['outbound_captured'] === before;
      });
    } finally {
      await ip('far', 'address del 10.244.2.99/32 dev eth0');
    }
  });

  it('is not that IPv6 is enabled later: the pod is captured in both families then', async () => {
    const pod = mesh.mesh.pod('joiner');
    const address = mesh.address('joiner', 'v6');
    const gateway = 'fd00:10:244:2::1';
    await mesh.mesh.removePod(pod);
    await sysctl('joiner', 'net.ipv6.conf.all.disable_ipv6=1');
    await becomes(async () => (await mesh.status('node2')).pods.every(({ name }) => name !== 'joiner'));
    await mesh.mesh.addPod(pod);
    assert.equal((await mesh.pod('joiner').echo(far(ports.echo))).outcome, 'ok');
    assert.notEqual((await mesh.pod('joiner').echo({ ...far(ports.echo, 'v6') })).outcome, 'ok');

    await sysctl('joiner', 'net.ipv6.conf.all.disable_ipv6=0');
    await ip('joiner', `address add ${address}/128 dev eth0 nodad`);
    await ip('joiner', `route add ${gateway}/128 dev eth0 src ${address}`);
    await ip('joiner', `route add ::/0 via ${gateway} dev eth0 src ${address}`);

    const before = await statusOf('joiner');
    await mesh.pod('joiner').listen(7020, 'echo');
    await becomes(async () => (await mesh.pod('joiner').echo({ ...far(ports.echo, 'v6') })).outcome === 'ok');
    assert.equal((await mesh.pod('client').echo({ host: address, port: 7020 })).outcome, 'ok');
    assert.equal((await mesh.pod('guest').echo({ host: address, port: 7020 })).outcome, 'ok');
    const after = await statusOf('joiner');
    for (const counter of ['outbound_captured', 'hbone_captured', 'inbound_captured'])
      assert.ok((after.capture[counter] ?? 0) > (before.capture[counter] ?? 0), counter);
    assert.deepEqual(after.faults, []);
  });

  it('is not that a pod joins with connections: they live on, are shown, and are closed when asked', async () => {
    const pod = mesh.mesh.pod('joiner');
    const target = { host: mesh.address('beyond', 'v4'), port: ports.echo };
    await mesh.mesh.removePod(pod);
    await becomes(async () => (await mesh.status('node2')).pods.every(({ name }) => name !== 'joiner'));
    assert.equal((await mesh.pod('joiner').hold('old', target)).outcome, 'ok');
    await mesh.mesh.addPod(pod);
    assert.equal((await statusOf('joiner')).olderConnections, 1);
    assert.equal((await mesh.pod('joiner').hold('new', target)).outcome, 'ok');
    assert.equal((await mesh.pod('joiner').probe('old')).outcome, 'ok');
    const { resets } = await mesh.pod('beyond').seen(ports.echo);

    const { stdout } = await runFile(process.execPath, [
      join(root, 'bin/culvert.js'),
      ...['close-older', 'mesh/joiner', '--ztunnel', mesh.mesh.adminSocket('node2')],
    ]);

    assert.equal(stdout, 'closed 1 connection older than capture\n');
    assert.notEqual((await mesh.pod('joiner').ended('old', 5000)).outcome, 'timeout');
    await becomes(async () => (await mesh.pod('beyond').seen(ports.echo)).resets === resets + 1);
    assert.equal((await mesh.pod('joiner').probe('new')).outcome, 'ok');
    assert.equal((await statusOf('joiner')).olderConnections, 0);
  });

  describe('of probes under STRICT', () => {
    let kubelet: MeshPod;
    const probe = (port: number, localAddress = '172.30.2.2') => kubelet.echo({ ...far(port), localAddress });

    before(async () => {
      kubelet = await MeshPod.start(mesh.mesh.netns('node2'));
      await mesh.apply('modes.yaml', [peerAuthentication('STRICT')]);
      await mesh.mesh.edit('pods.yaml', (text) => withProbes(text, 'far', [ports.echo, ports.dead]));
      await becomes(async () => (await probe(ports.echo)).outcome === 'ok');
      await becomes(async () => (await mesh.pod('guest').echo(far(ports.echo))).outcome !== 'ok');
    });
    after(() => kubelet?.close());

    it('is not that a dead port looks alive', async () => {
      const { outcome } = await probe(ports.dead);

      assert.equal(outcome, 'refused');
    });

    it('is not that the node may reach what is no probe', async () => {
      const { connections } = await mesh.pod('far').seen(ports.peerPort);

      assert.notEqual((await probe(ports.peerPort)).outcome, 'ok');

      assert.equal((await mesh.pod('far').seen(ports.peerPort)).connections, connections);
    });

    it('is not that others may reach what is probed', async () => {
      assert.notEqual((await mesh.pod('guest').echo(far(ports.echo))).outcome, 'ok');
      assert.equal((await mesh.pod('client').echo(far(ports.echo))).outcome, 'ok');
    });
  });
});

/** Waits for a state of the world. */
function becomes(check: () => Promise<boolean>): Promise<void> {
  return eventually('the state that is expected', check, 20_000);
}

/** The manifest with tcpSocket probes of these ports in a pod. */
function withProbes(text: string, name: string, probed: readonly number[]): string {
  return parseAllDocuments(text)
    .map((document) => {
      const object = document.toJS() as { kind: string; metadata: { name: string }; spec: object };
      if (object.kind !== 'Pod' || object.metadata.name !== name) return stringify(object);
      const containers = probed.map((port, index) => ({
        name: `c${index}`,
        readinessProbe: { tcpSocket: { port } },
      }));
      return stringify({ ...object, spec: { ...object.spec, containers } });
    })
    .join('---\n');
}
