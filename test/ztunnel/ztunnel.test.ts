import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import type { PodSettings } from '../../src/mesh/pod-settings.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { adminRoutes, configDump, why } from '../../src/ztunnel/admin.ts';
import { statusOf } from '../../src/ztunnel/status.ts';
import { closedEvent, connectedEvent, connectEvent, outboundEvent } from '../support/engine-events.ts';
import { eventually } from '../support/eventually.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';
import type { TestZtunnel } from '../support/ztunnel.ts';
import { startTestZtunnel } from '../support/ztunnel.ts';

const cart = workload({
  name: 'cart',
  addresses: [ip('10.0.2.1')],
  services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
const cartService = service({ name: 'cart' });
const frontendId = 'spiffe://cluster.local/ns/shop/sa/frontend';

function settingsOf(name: string): PodSettings {
  return {
    uid: `test//Pod/shop/${name}`,
    namespace: 'shop',
    name,
    serviceAccount: name,
    trustDomain: 'cluster.local',
    enrolled: true,
    probePorts: [],
    nodeAddresses: [],
    exclusions: noExclusions,
  };
}

describe('a node proxy', () => {
  let test: TestZtunnel;
  let engine: TestZtunnel['engine'];
  let capture: TestZtunnel['capture'];
  let certificates: TestZtunnel['certificates'];
  let clock: TestZtunnel['clock'];
  let readiness: TestZtunnel['readiness'];
  let metrics: TestZtunnel['metrics'];
  let controller: TestZtunnel['controller'];
  let agent: TestZtunnel['agent'];
  let ztunnel: TestZtunnel['ztunnel'];

  beforeEach(async () => {
    test = await startTestZtunnel();
    ({ engine, capture, certificates, clock, readiness, metrics, controller, agent, ztunnel } = test);
  });
  afterEach(() => test.close());

  async function addPods(): Promise<void> {
    for (const name of ['cart', 'frontend'])
      agent.add({ uid: `pod-${name}`, namespace: 'shop', name, netns: test.netns });
    controller.onPods({ pods: [settingsOf('cart'), settingsOf('frontend')], removed: [] });
    controller.onSynced();
    await eventually('both pods run', () => ztunnel.pods.counts().running === 2);
  }

  function agentState(uid: string): string | undefined {
    const view = [...ztunnel.pods.views()].find(({ announcement }) => announcement.uid === uid);
    return view && `${view.phase}: ${view.detail}`;
  }

  function addMesh(): void {
    controller.onAddress({ workloads: [cart, frontend], services: [cartService], removed: [] });
  }

  function dial(id: number): void {
    engine.raise(outboundEvent(id, 'pod-frontend', '10.0.1.1:40000', '10.96.0.1:80'));
  }

  function accept(id: number): void {
    engine.raise(
      connectEvent({ id, podId: 'pod-cart', authority: '10.0.2.1:8080', peerIdentity: frontendId }),
    );
  }

  it('captures nothing before the whole mesh is known: a policy may be still to come', async () => {
    agent.add({ uid: 'pod-cart', namespace: 'shop', name: 'cart', netns: test.netns });
    controller.onPods({ pods: [settingsOf('cart')], removed: [] });
    await eventually(
      'it waits',
      () => agentState('pod-cart') === 'waiting: the first complete configuration',
    );
    assert.equal(capture.attached.size, 0);

    controller.onSynced();

    await eventually('the pod runs', () => ztunnel.pods.counts().running === 1);
  });

  it('is ready once the first configuration is complete', () => {
    assert.deepEqual(readiness.pending, ['xds (the first complete configuration)']);

    controller.onSynced();

    assert.ok(readiness.ready);
  });

  it('captures its pods and carries a connection from one to the other', async () => {
    addMesh();
    await addPods();

    dial(1);
    accept(2);

    assert.equal(engine.outbound.get(1)?.kind, 'tunnel');
    assert.equal(engine.inbound.get(2)?.kind, 'deliver');
    assert.ok(engine.identities.has(frontendId));
  });

  it('lets a connection wait for its workload, and decides when that has come', async () => {
    await addPods();
    dial(1);
    assert.equal(engine.outbound.size, 0);
    assert.equal(ztunnel.waiting, 1);

    addMesh();

    assert.equal(engine.outbound.get(1)?.kind, 'tunnel');
    assert.equal(ztunnel.waiting, 0);
  });

  it('refuses a connection whose workload does not come in time', async () => {
    await addPods();
    dial(1);
    clock.advance(4000);
    accept(2);
    clock.advance(750);
    assert.deepEqual(engine.outbound.get(1), { kind: 'refuse', reason: 'no_route' });
    assert.equal(engine.inbound.size, 0);

    clock.advance(4000);

    assert.deepEqual(engine.inbound.get(2), { kind: 'reject', status: 503, reason: 'no_route' });
  });

  it('forgets a waiting connection that ends by itself', async () => {
    await addPods();
    dial(1);

    engine.raise(closedEvent(1, { reason: 'app_reset' }));
    addMesh();

    assert.equal(engine.outbound.size, 0);
    assert.equal(ztunnel.table.size, 0);
    assert.equal(ztunnel.table.recent.length, 1);
  });

  it('cuts the live connections that a new policy does not allow, and no others', async () => {
    addMesh();
    await addPods();
    dial(1);
    accept(2);
    engine.raise(connectedEvent(1), connectedEvent(2));

    controller.onPolicy({ policies: [policy({ name: 'nobody' })], removed: [] });

    assert.deepEqual(engine.closeRequests, [{ ids: [2], reason: 'denied' }]);
  });

  it('records connections that the engine let in by an earlier answer, and no more once the mesh has changed', async () => {
    await addPods();
    addMesh();
    engine.raise(
      connectEvent({
        id: 1,
        podId: 'pod-cart',
        authority: '10.0.2.1:8080',
        peerIdentity: frontendId,
      }),
    );
    const reuse = engine.inboundReuse.get(1);
    assert.ok(reuse !== undefined);
    assert.equal(reuse.epoch, engine.epoch);
    const again = (id: number) =>
      connectEvent({
        id,
        podId: 'pod-cart',
        authority: '10.0.2.1:8080',
        peerIdentity: frontendId,
        reused: { ticket: reuse.ticket, choice: 0 },
      });

    engine.raise(again(2));

    assert.equal(engine.inbound.has(2), false, 'it was not asked');
    assert.deepEqual(
      [...ztunnel.table.live()].map(({ connection }) => connection.id),
      [1, 2],
    );

    controller.onPolicy({
      policies: [policy({ name: 'deny', action: 'deny', rules: [{ clauses: [] }] })],
      removed: [],
    });
    engine.raise(again(3));

    assert.ok(engine.epoch > reuse.epoch);
    assert.deepEqual(engine.closeRequests, [
      { ids: [1, 2], reason: 'denied' },
      { ids: [3], reason: 'denied' },
    ]);
  });

  it('cuts a connection of a forgotten ticket that would not be let in', async () => {
    await addPods();
    addMesh();

    engine.raise({
      ...outboundEvent(1, 'pod-frontend', '10.0.1.1:40000', '10.0.9.9:15008'),
      reused: { ticket: 4711, choice: 0 },
    });
    engine.raise({
      ...outboundEvent(2, 'pod-frontend', '10.0.1.1:40000', '10.0.1.1:80'),
      reused: { ticket: 4711, choice: 0 },
    });

    assert.deepEqual(engine.closeRequests, [{ ids: [2], reason: 'self_call' }]);
  });

  it('gives a renewed certificate to the engine and touches no connection', async () => {
    addMesh();
    await addPods();
    accept(2);

    certificates.issue(frontendId);

    assert.deepEqual(engine.closeRequests, []);
    assert.equal(certificates.current(frontendId)?.serial, '3');
  });

  it('refuses tunnels while its certificate has expired, says so, and recovers', async () => {
    addMesh();
    await addPods();
    controller.onSynced();

    certificates.expire(frontendId);
    dial(1);
    assert.deepEqual(engine.outbound.get(1), { kind: 'refuse', reason: 'identity_error' });
    assert.match(readiness.pending.join(), /certificates \(expired: .*frontend/);

    certificates.issue(frontendId);
    dial(2);
    assert.equal(engine.outbound.get(2)?.kind, 'tunnel');
    assert.ok(readiness.ready);
  });

  it('lets a certificate go with the last pod that needs it', async () => {
    addMesh();
    await addPods();

    agent.remove('pod-frontend');
    await eventually('one pod left', () => ztunnel.pods.size === 1);

    assert.equal(engine.identities.has(frontendId), false);
    assert.equal(certificates.needed.has(frontendId), false);
  });

  it('goes on with the last snapshot, and refuses what it cannot decide', () => {
    dial(1);
    clock.advance(5000);

    assert.deepEqual(engine.outbound.get(1), { kind: 'refuse', reason: 'no_route' });
  });

  it('drains for as long as it is given, and leaves its pods captured', async () => {
    addMesh();
    await addPods();

    await ztunnel.drain(30_000);
    await ztunnel.close();
    await ztunnel.close();

    assert.equal(engine.drained, 30_000);
    assert.ok(engine.closed && capture.closed && certificates.closed);
    assert.deepEqual(capture.pinned(), ['pod-cart', 'pod-frontend']);
  });

  it('shows its pods, certificates and connections, and no private key', async () => {
    addMesh();
    await addPods();
    accept(2);
    engine.raise(connectedEvent(2));
    engine.bytes.set(2, { bytesSent: 100, bytesReceived: 200 });

    const status = statusOf(ztunnel, '1.0');
    assert.deepEqual(
      status.pods.map((pod) => [pod.name, pod.captured, pod.addresses, pod.connections]),
      [
        ['cart', true, ['10.0.2.1'], 1],
        ['frontend', true, ['10.0.1.1'], 0],
      ],
    );
    assert.deepEqual(
      status.certificates.map((certificate) => certificate.state),
      ['valid', 'valid'],
    );
    const route = adminRoutes(ztunnel).find(({ path }) => path === '/connections');
    const answer = await route?.handle({
      method: 'GET',
      path: '/connections',
      query: new URLSearchParams(),
      headers: {},
      body: Buffer.alloc(0),
    });
    const { live } = JSON.parse(answer?.body ?? '') as { live: Record<string, unknown>[] };
    assert.equal(live[0]?.['bytesReceived'], 200);
    assert.equal(live[0]?.['security'], 'mutual_tls');
    const dump = JSON.stringify(configDump(ztunnel), (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
    assert.equal(dump.includes(`key of ${frontendId}`), false);
    assert.match(dump, /cart\.shop\.svc\.cluster\.local/);
  });

  it('renders its metrics', async () => {
    addMesh();
    await addPods();

    const { body } = await metrics.render();

    assert.match(body, /culvert_pods\{phase="running"\} 2/);
    assert.match(body, /culvert_xds_connected 1/);
  });

  it('renders what capture counted, for all its pods together', async () => {
    capture.kept.set('pod-cart', 2);
    addMesh();
    await addPods();
    for (const pod of ['pod-cart', 'pod-frontend'])
      capture.counted.set(pod, { outbound_captured: 20n, guard_dropped: 3n });

    for (let scrape = 0; scrape < 2; scrape++) {
      const { body } = await metrics.render();
      assert.match(body, /culvert_capture_connections_total\{outcome="outbound_captured"\} 40/);
      assert.match(body, /culvert_capture_guard_packets_total\{outcome="dropped"\} 6/);
      assert.match(body, /culvert_capture_older_connections 2/);
    }
    assert.deepEqual(statusOf(ztunnel, '1.0').pods[0]?.capture, { outbound_captured: 20, guard_dropped: 3 });
  });

  it('closes the connections of a pod that are older than its capture', async () => {
    capture.kept.set('pod-cart', 2);
    addMesh();
    await addPods();
    const close = async (pod: string): Promise<unknown> => {
      const route = adminRoutes(ztunnel).find(({ path }) => path === '/connections/close-older');
      const query = new URLSearchParams({ pod });
      const request = { method: 'POST', path: '', query, headers: {}, body: Buffer.alloc(0) } as const;
      const answer = await route?.handle(request);
      return [answer?.status ?? 200, JSON.parse(answer?.body ?? '')];
    };

    assert.deepEqual(await close('shop/cart'), [200, { closed: 2 }]);
    assert.deepEqual(await close('pod-frontend'), [200, { closed: 0 }]);
    assert.equal(statusOf(ztunnel, '1.0').pods[0]?.olderConnections, 0);
    const [status, body] = (await close('shop/crat')) as [number, { code: string }];
    assert.equal(status, 404);
    assert.equal(body.code, 'ERR_CULVERT_POD_UNKNOWN');
  });

  it('explains a decision by the objects it came from', async () => {
    addMesh();
    await addPods();
    controller.onPolicy({
      policies: [
        policy({
          name: 'only-admin',
          rules: [
            {
              clauses: [{ matches: [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'admin' }] }] }],
            },
          ],
        }),
      ],
      removed: [],
    });

    const report = why(ztunnel, 'shop/frontend', 'cart');

    assert.equal(report.allowed, false);
    const steps = report.steps.map(({ step, outcome, object }) => `${step} | ${outcome} | ${object ?? ''}`);
    assert.deepEqual(steps, [
      'source | by name shop/frontend | Workload test//Pod/shop/frontend',
      'capture | running | Workload test//Pod/shop/frontend',
      'destination | Service shop/cart.shop.svc.cluster.local | ',
      'endpoint | drawn from 1 usable | Workload test//Pod/shop/cart',
      'route | mutual TLS to 10.0.2.1:15008, CONNECT 10.0.2.1:8080 | Workload test//Pod/shop/cart',
      'policy | ALLOW does not match | Policy shop/only-admin',
      'verdict | connection closed due to policy rejection: allow policies exist, but none allowed | ',
    ]);
    assert.throws(() => why(ztunnel, 'shop/nobody', 'cart'), { code: 'ERR_CULVERT_WHY_UNKNOWN' });
  });
});
