// Client and server as they are, over TLS on loopback.
import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { servePod, servePolicy, serveService, serveWorkload } from '../../src/xds/served.ts';
import type { ServedResource } from '../../src/xds/types.ts';
import { typeUrls } from '../../src/xds/types.ts';
import { TestAuthority } from '../support/certificates.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Harness, until, ztunnelOne } from './harness.ts';

const cart = workload({ name: 'cart', policies: ['shop/allow'] });
const web = workload({ name: 'web', addresses: [ip('10.0.0.2')] });
const { uid } = cart;

describe('the control channel', () => {
  let harness: Harness;

  beforeEach(async () => {
    harness = await Harness.create();
    harness.source.set(typeUrls.address, [serveWorkload(cart), serveService(service({ name: 'cart' }))]);
    harness.source.set(typeUrls.authorization, [servePolicy(policy({ name: 'allow' }))]);
  });
  afterEach(() => harness.close());

  it('brings a node everything of each type, and tells it that it is in step', async () => {
    const pod = {
      uid,
      namespace: 'shop',
      name: 'cart',
      serviceAccount: 'cart',
      trustDomain: 'cluster.local',
    };
    const settings = { ...pod, enrolled: true, probePorts: [8080], nodeAddresses: [ip('10.0.0.254')] };
    harness.source.set(typeUrls.pod, [servePod({ ...settings, exclusions: noExclusions })]);
    const server = await harness.serve();
    const { client, recorder } = harness.connect();

    await until(() => recorder.synced === 1);

    assert.deepEqual(recorder.addresses[0]?.workloads, [cart]);
    assert.equal(recorder.addresses[0]?.services[0]?.hostname, 'cart.shop.svc.cluster.local');
    assert.deepEqual(recorder.policies[0]?.policies, [policy({ name: 'allow' })]);
    assert.deepEqual(recorder.pods[0]?.pods, [{ ...settings, exclusions: noExclusions }]);
    assert.deepEqual(client.status().resources, { addresses: 2, policies: 1, pods: 1 });
    assert.equal(client.status().state, 'connected');
    await until(() => server.stats().acks === 3);
    assert.equal(
      server.clients()[0]?.nodeId,
      'ztunnel~1.1.1.1~ztunnel-1.culvert-system~culvert-system.svc.cluster.local',
    );
    assert.equal(server.clients()[0]?.caller, ztunnelOne);
  });

  it('sends only what changed, and removals', async () => {
    await harness.serve();
    const { recorder } = harness.connect();
    await until(() => recorder.synced === 1);

    harness.source.set(typeUrls.address, [serveWorkload(cart), serveWorkload(web)]);
    await until(() => recorder.addresses.length === 2);

    assert.deepEqual(recorder.addresses[1], {
      workloads: [web],
      services: [],
      removed: ['shop/cart.shop.svc.cluster.local'],
    });
  });

  it('merges changes while a response is outstanding and many changes at once', async () => {
    const server = await harness.serve({ coalesceMs: 30 });
    const { recorder } = harness.connect();
    await until(() => recorder.synced === 1);
    const before = server.stats().pushes;

    for (let weight = 2; weight <= 50; weight += 1)
      harness.source.set(typeUrls.address, [serveWorkload({ ...cart, capacity: weight })]);
    await until(() => recorder.addresses.at(-1)?.workloads[0]?.capacity === 50);

    assert.equal(server.stats().pushes, before + 1);
  });

  it('holds a node back until the controller has its first snapshot', async () => {
    harness.source.ready = false;
    await harness.serve();
    const { client, recorder } = harness.connect();
    await until(() => client.status().state === 'connected');

    assert.equal(recorder.addresses.length, 0);
    harness.source.ready = true;
    harness.source.changed();

    await until(() => recorder.synced === 1);
  });

  it('goes on after the controller was away without sending again what is known', async () => {
    const first = await harness.serve();
    const { client, recorder } = harness.connect();
    await until(() => recorder.synced === 1);
    const { port } = first;
    await first.close();
    await until(() => client.status().state !== 'connected');
    assert.match(client.status().lastError ?? '', /shutting down|UNAVAILABLE|connect/);

    // While it is away one workload changes, a service goes, and a policy comes.
    const changed = { ...cart, healthy: false };
    harness.source.set(typeUrls.address, [serveWorkload(changed)]);
    harness.source.set(typeUrls.authorization, [
      servePolicy(policy({ name: 'allow' })),
      servePolicy(policy({ name: 'deny' })),
    ]);
    const second = await harness.serve({ port });
    await until(() => recorder.policies.length === 2 && recorder.addresses.length === 2);
    await until(() => second.stats().acks === 3);

    assert.deepEqual(recorder.addresses[1]?.workloads, [changed]);
    assert.deepEqual(recorder.addresses[1]?.removed, ['shop/cart.shop.svc.cluster.local']);
    assert.deepEqual(
      recorder.policies[1]?.policies.map((entry) => entry.name),
      ['deny'],
    );
    assert.equal(second.stats().resourcesSent, 2);
    assert.equal(recorder.synced, 1);
    assert.equal(client.status().streamsOpened, 2);
  });

  it('applies the good resources of a push, and reports the bad ones by name and field', async () => {
    const broken: ServedResource = { name: 'bad', aliases: [], version: '1', bytes: Uint8Array.of(0xff) };
    const server = await harness.serve();
    const { client, recorder } = harness.connect();
    await until(() => recorder.synced === 1);

    harness.source.set(typeUrls.address, [serveWorkload(cart), serveWorkload(web), broken]);
    await until(() => server.stats().nacks === 1);

    assert.deepEqual(recorder.addresses[1]?.workloads, [web]);
    assert.equal(client.status().rejected[0]?.name, 'bad');
    const types = server.clients()[0]?.types ?? [];
    assert.match(types.find((type) => type.typeUrl === typeUrls.address)?.lastRejection ?? '', /^bad: /);

    harness.source.set(typeUrls.address, [serveWorkload(cart), serveWorkload(web)]);
    await until(() => recorder.addresses.length === 3);
    assert.deepEqual(client.status().rejected, []);
  });

  it('denies within the scope of a policy that cannot be understood, and is in step nevertheless', async () => {
    const broken: ServedResource = {
      name: 'shop/allow',
      aliases: [],
      version: '1',
      bytes: Uint8Array.of(0xff),
    };
    harness.source.set(typeUrls.authorization, [broken]);
    await harness.serve();
    const { recorder } = harness.connect();

    await until(() => recorder.synced === 1);

    assert.equal(recorder.policies[0]?.policies[0]?.action, 'deny');
    assert.equal(recorder.policies[0]?.policies[0]?.scope, 'namespace');
  });

  it('refuses a wrong token, and lets the node in once its token is right', async () => {
    let token = 'wrong-token';
    const server = await harness.serve();
    const { client, recorder } = harness.connect({ token: () => token });
    await until(() => client.status().lastError !== undefined);
    assert.match(client.status().lastError ?? '', /UNAUTHENTICATED/);
    assert.equal(recorder.addresses.length, 0);
    assert.ok(server.stats().refusedCredentials > 0);

    token = 'good-token';

    await until(() => recorder.synced === 1);
  });

  it('refuses a server whose certificate is of a foreign root, expired, or of another name', async () => {
    await harness.serve();
    const foreign = await TestAuthority.create();
    const strangers = [
      harness.connect({ roots: () => foreign.rootPem }),
      harness.connect({ serverName: 'somebody-else' }),
    ];
    for (const { client, recorder } of strangers) {
      await until(() => client.status().lastError !== undefined);
      assert.match(client.status().lastError ?? '', /UNAVAILABLE/);
      assert.equal(recorder.addresses.length, 0);
    }
    const expired = await harness.authority.issue('', {
      ips: [ip('127.0.0.1')],
      notBeforeMs: Date.now() - 7_200_000,
      notAfterMs: Date.now() - 3_600_000,
    });
    await harness.serve({ certificate: { chainPem: expired.chainPem, keyPem: expired.keyPem } });
    const { client } = harness.connect();
    await until(() => client.status().lastError !== undefined);
    assert.match(client.status().lastError ?? '', /UNAVAILABLE.*expired/);
  });

  it('presents a renewed certificate to new connections without a restart', async () => {
    const server = await harness.serve();
    const next = await TestAuthority.create();
    const leaf = await next.issue('', { ips: [ip('127.0.0.1')] });
    const old = harness.connect();
    await until(() => old.recorder.synced === 1);

    server.setCertificate({ chainPem: leaf.chainPem, keyPem: leaf.keyPem });
    const { recorder } = harness.connect({ roots: () => next.rootPem });

    await until(() => recorder.synced === 1);
    assert.equal(old.client.status().state, 'connected');
  });

  it('rejects a push that the node itself fails to apply, and stays connected', async () => {
    const server = await harness.serve();
    const onAddress = (): void => {
      throw new Error('a bug of the node');
    };
    const { client } = harness.connect({ handlers: { ...noHandlers, onAddress } });

    await until(() => server.stats().nacks > 0);

    assert.equal(client.status().synced, false);
    assert.match(client.status().lastError ?? '', /a bug of the node/);
    assert.equal(client.status().state, 'connected');
  });

  it('brings 10,000 workloads in one push and then changes of one', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) =>
      serveWorkload(workload({ name: `w${index}`, addresses: [ip(`10.1.${index >> 8}.${index & 255}`)] })),
    );
    harness.source.set(typeUrls.address, many);
    const server = await harness.serve();
    const { recorder } = harness.connect();
    await until(() => recorder.synced === 1);
    assert.equal(recorder.addresses[0]?.workloads.length, 10_000);
    const before = server.stats();

    const [, ...rest] = many;
    harness.source.set(typeUrls.address, [serveWorkload(workload({ name: 'w0', healthy: false })), ...rest]);
    await until(() => recorder.addresses.length === 2);

    assert.equal(recorder.addresses[1]?.workloads.length, 1);
    assert.ok(server.stats().pushedBytes - before.pushedBytes < 1_000);
  });

  it('tries again with growing delays when streams end at once, and never gives up', async () => {
    const clock = new FakeClock();
    const server = await harness.serve();
    harness.callers.callers.clear();
    const { client, recorder } = harness.connect({
      clock,
      random: () => 1,
      backoffMs: { min: 10, max: 15_000 },
    });
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 14; attempt += 1) {
      await until(() => server.stats().refusedCredentials === attempt && client.status().state === 'waiting');
      let waited = 0;
      while (client.status().state === 'waiting') {
        clock.advance(10);
        waited += 10;
      }
      delays.push(waited);
    }
    harness.callers.callers.set('good-token', ztunnelOne);
    await until(() => {
      clock.advance(15_000);
      return recorder.synced === 1;
    });

    assert.deepEqual(delays.slice(0, 5), [10, 20, 40, 80, 160]);
    assert.deepEqual(delays.slice(-3), [15_000, 15_000, 15_000]);
  });

  it('keeps streams within the bound of each caller', async () => {
    const server = await harness.serve({ limits: { streamsPerCallerMax: 1 } });
    const first = harness.connect();
    await until(() => first.recorder.synced === 1);

    const second = harness.connect();
    await until(() => second.client.status().lastError !== undefined);

    assert.match(second.client.status().lastError ?? '', /RESOURCE_EXHAUSTED/);
    assert.equal(server.stats().streams, 1);
    first.client.close();
    await until(() => second.recorder.synced === 1);
  });

  it('forgets a client that has gone', async () => {
    const server = await harness.serve();
    const { client, recorder } = harness.connect();
    await until(() => recorder.synced === 1);

    client.close();

    await until(() => server.stats().streams === 0);
    assert.deepEqual(server.clients(), []);
    assert.equal(client.status().state, 'closed');
  });

  it('is not asked for pod settings where the control plane has none', async () => {
    const server = await harness.serve();
    const { recorder } = harness.connect({ podSettings: false });

    await until(() => recorder.synced === 1);

    const types = server.clients()[0]?.types.map((type) => type.typeUrl);
    assert.deepEqual(types, [typeUrls.address, typeUrls.authorization]);
  });
});

const noHandlers = {
  onAddress: () => undefined,
  onPolicy: () => undefined,
  onPods: () => undefined,
  onSynced: () => undefined,
};
