// HBONE with Envoy, as waypoints, sidecars and gateways of ambient speak it, in both directions. Needs root.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { PlaygroundProcess } from '../../src/playground/process.ts';
import { requireEnvoy, startEnvoy } from '../support/envoy.ts';
import type { TestMesh } from '../support/mesh.ts';
import { requireRoot, startTestMesh } from '../support/mesh.ts';

const ports = {
  echo: 7001,
  digest: 7002,
  farewell: 7003,
  source: 7004,
  refusing: 7005,
  greet: 7006,
  dead: 7007,
};
const envoyIdentity = 'spiffe://cluster.local/ns/outside/sa/envoy';
const mebibyte = 2 ** 20;

/** Denies a port to one service account. */
const denial = {
  apiVersion: 'security.culvert.dev/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'no-envoy', namespace: 'mesh' },
  spec: {
    selector: { matchLabels: { app: 'server' } },
    action: 'DENY',
    rules: [
      {
        from: [{ source: { principals: [envoyIdentity.slice('spiffe://'.length)] } }],
        to: [{ operation: { ports: [String(ports.refusing)] } }],
      },
    ],
  },
};

describe('Envoy', function () {
  this.timeout(30_000);
  let mesh: TestMesh;
  let envoy: PlaygroundProcess | undefined;

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    const program = requireEnvoy(this);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'stranger', node: 'node1', captured: true },
        { name: 'server', node: 'node2', captured: true },
        { name: 'envoy', node: 'node2', captured: false, labels: { 'networking.istio.io/tunnel': 'http' } },
      ],
      manifests: { 'policies.yaml': [denial] },
    });
    for (const pod of ['server', 'envoy'])
      for (const mode of ['echo', 'digest', 'farewell', 'source', 'greet'] as const)
        await mesh.pod(pod).listen(ports[mode], mode);
    await mesh.pod('server').listen(ports.refusing, 'echo');
    envoy = await startEnvoy({
      program,
      mesh: mesh.mesh,
      pod: 'envoy',
      tunnels: Object.values(ports).map((port) => ({
        port: port + 10_000,
        via: mesh.address('server', 'v4'),
        authority: `${mesh.address('server', 'v4')}:${port}`,
        expected: 'spiffe://cluster.local/ns/mesh/sa/server',
      })),
      ports: Object.values(ports).filter((port) => port !== ports.refusing),
      deniedIdentities: ['spiffe://cluster.local/ns/mesh/sa/stranger'],
    });
    await untilAnswers();
  });

  after(async function () {
    this.timeout(25_000);
    await envoy?.close();
    await mesh?.close();
  });

  /** Envoy needs a moment to start; a bad configuration ends it instead. */
  async function untilAnswers(): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const { outcome } = await mesh.pod('envoy').echo(out(ports.echo));
      if (outcome === 'ok') return;
      if (envoy?.running !== true || Date.now() > deadline)
        throw new Error(`${outcome}: ${await readFile(envoy?.logFile ?? '', 'utf8')}`);
    }
  }

  /** What Envoy carries to the server's port. */
  const out = (port: number) => ({ host: '127.0.0.1', port: port + 10_000, timeoutMs: 20_000 });
  /** The pod whose tunnel end is Envoy. */
  const into = (port: number) => ({ host: mesh.address('envoy', 'v4'), port, timeoutMs: 20_000 });

  for (const [what, from, to] of [
    ['as the client of a Culvert pod', 'envoy', out],
    ['as the server of a Culvert pod', 'client', into],
  ] as const)
    describe(what, () => {
      it('exchanges bytes', async () => {
        assert.equal((await mesh.pod(from).echo(to(ports.echo))).outcome, 'ok');
      });

      it('lets the server speak first', async () => {
        assert.equal((await mesh.pod(from).greet(to(ports.greet))).outcome, 'ok');
      });

      it('carries 16 MiB up, whole, and the answer after the client has ended', async () => {
        const { outcome } = await mesh.pod(from).upload(to(ports.digest), 16 * mebibyte);
        assert.equal(outcome, 'ok');
      });

      it('carries 16 MiB up and back, whole', async () => {
        assert.equal((await mesh.pod(from).echo(to(ports.echo), 16 * mebibyte)).outcome, 'ok');
      });

      it('carries 50 connections at once', async () => {
        const outcomes = await mesh.pod(from).parallel(to(ports.echo), 50, 50_000);
        assert.deepEqual(new Set(outcomes.map(({ outcome }) => outcome)), new Set(['ok']));
      });

      it('keeps 230 connections open at once, which is more than one tunnel may carry', async () => {
        const names = Array.from({ length: 230 }, (_, index) => `held-${index}`);
        const opened = await Promise.all(names.map((name) => mesh.pod(from).hold(name, to(ports.echo))));
        const probed = await Promise.all(names.map((name) => mesh.pod(from).probe(name)));
        await Promise.all(names.map((name) => mesh.pod(from).release(name)));

        const outcomes = [...opened, ...probed].map(({ outcome }) => outcome);
        assert.deepEqual(new Set(outcomes), new Set(['ok']));
      });

      it('ends a connection to a port where nothing listens, and only that', async () => {
        assert.equal((await mesh.pod(from).hold('live', to(ports.echo))).outcome, 'ok');

        const { outcome, received } = await mesh.pod(from).echo(to(ports.dead));

        assert.notEqual(outcome, 'ok');
        assert.equal(received, 0);
        assert.equal((await mesh.pod(from).probe('live')).outcome, 'ok');
        await mesh.pod(from).release('live');
      });
    });

  // Envoy that ends CONNECT in TCP resets the stream once the application has ended, so these are for one direction.
  it('gets 16 MiB, whole, from a server that ends first', async () => {
    assert.equal((await mesh.pod('envoy').download(out(ports.source), 16 * mebibyte)).outcome, 'ok');
  });

  it('delivers what its client sends after the server has ended', async () => {
    const bytes = 300_000;

    const { outcome, text } = await mesh.pod('envoy').afterEnd(out(ports.farewell), bytes);

    assert.deepEqual([outcome, text], ['ok', 'bye\n']);
    const deadline = Date.now() + 5000;
    let seen: readonly number[] = [];
    while (seen.length === 0 && Date.now() < deadline)
      seen = (await mesh.pod('server').seen(ports.farewell)).bytesAfterEnd;
    assert.deepEqual(seen, [bytes]);
  });

  it('is refused where a policy denies it, and the application sees no connection', async () => {
    const { outcome, received } = await mesh.pod('envoy').echo(out(ports.refusing));

    assert.notEqual(outcome, 'ok');
    assert.equal(received, 0);
    assert.equal((await mesh.pod('server').seen(ports.refusing)).connections, 0);
  });

  it('refuses whom it denies by the identity that it was shown', async () => {
    const { outcome, received } = await mesh.pod('stranger').echo(into(ports.echo));

    assert.notEqual(outcome, 'ok');
    assert.equal(received, 0);
    assert.equal((await mesh.pod('client').echo(into(ports.echo))).outcome, 'ok');
  });
});
