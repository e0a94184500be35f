import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import type { Policy } from '../../src/mesh/policy.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { AccessLog } from '../../src/ztunnel/access-log.ts';
import { ConnectionTable } from '../../src/ztunnel/connection-table.ts';
import type { Connection } from '../../src/ztunnel/connection.ts';
import { decideConnect } from '../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { ConnectionMetrics } from '../../src/ztunnel/metrics.ts';
import { closedEvent, connectedEvent, connectEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';

const frontend = workload({
  name: 'frontend-1',
  workloadName: 'frontend',
  serviceAccount: 'frontend',
  addresses: [ip('10.0.1.1')],
});
const cart = workload({
  name: 'cart',
  addresses: [ip('10.0.2.1')],
  services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const base = MeshSnapshot.empty().with({
  workloads: [frontend, cart],
  services: [service({ name: 'cart' })],
});
const allowed = (account: string): Policy =>
  policy({
    name: 'allow',
    rules: [
      { clauses: [{ matches: [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: account }] }] }] },
    ],
  });

describe('the connection table', () => {
  let cut: number[];
  let closes: { ids: readonly number[]; reason: string }[];
  let lines: Record<string, unknown>[];
  let metrics: ReturnType<typeof createMetrics>;
  let table: ConnectionTable;

  beforeEach(() => {
    closes = [];
    cut = [];
    lines = [];
    metrics = createMetrics({ processMetrics: false });
    const logger = createLogger({
      level: 'debug',
      format: 'json',
      write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
    });
    table = new ConnectionTable({
      accessLog: new AccessLog({ logger, mode: 'all' }),
      metrics: new ConnectionMetrics(metrics),
      close: (ids, reason) => void closes.push({ ids, reason }),
      connectionsMax: 3,
      recentMax: 2,
      reauthorized: (closed) => void cut.push(closed),
    });
  });

  function connect(id: number, account = 'frontend', snapshot = base): Connection {
    const { connection } = decideConnect(
      {
        snapshot,
        workload: cart,
        picker: new LoadBalancer({ clock: new FakeClock() }),
        hasIdentity: () => true,
        hbonePort: 15008,
        keepSourceAddress: true,
        nowMs: 1000,
      },
      connectEvent({
        id,
        podId: 'p',
        authority: '10.0.2.1:8080',
        peerIdentity: `spiffe://cluster.local/ns/shop/sa/${account}`,
      }),
    );
    table.add(connection);
    if (connection.refusal === undefined) table.connected(connectedEvent(id), 1001);
    return connection;
  }

  async function metric(name: string): Promise<readonly string[]> {
    const { body } = await metrics.render();
    return body.split('\n').filter((line) => line.startsWith(name));
  }

  it('closes exactly the connections that a new policy does not allow', () => {
    connect(1, 'frontend');
    connect(2, 'other');

    table.reauthorize(base.with({ policies: [allowed('frontend')] }), () => cart.uid);

    assert.deepEqual(cut, [1]);
    assert.deepEqual(closes, [{ ids: [2], reason: 'denied' }]);
  });

  it('closes a connection once, however often the mesh changes before its end', () => {
    connect(1, 'other');
    table.reauthorize(base.with({ policies: [allowed('frontend')] }), () => cart.uid);
    table.reauthorize(base.with({ policies: [allowed('cart')] }), () => cart.uid);

    assert.equal(closes.length, 1);
  });

  it('leaves connections alone when something else changes', () => {
    const strict = base.with({ policies: [allowed('frontend')] });
    connect(1, 'frontend', strict);
    table.reauthorize(strict, () => cart.uid);

    table.reauthorize(strict.with({ removedWorkloads: [frontend.uid] }), () => cart.uid);
    table.reauthorize(strict.with({ removedWorkloads: [cart.uid] }), () => cart.uid);

    assert.deepEqual(closes, []);
  });

  it('closes the connections of a revoked identity', () => {
    connect(1, 'frontend');
    connect(2, 'other');

    assert.equal(table.revoke(new Set(['spiffe://cluster.local/ns/shop/sa/other'])), 1);
    assert.deepEqual(closes, [{ ids: [2], reason: 'cert_revoked' }]);
  });

  it('says in the access log what a connection was', () => {
    connect(1);
    table.closed(closedEvent(1));

    const line = lines.find((each) => each['msg'] === 'connection complete');
    assert.deepEqual(
      { ...line, time: undefined },
      {
        level: 'info',
        time: undefined,
        scope: 'access',
        msg: 'connection complete',
        'src.addr': '10.0.1.1:50000',
        'src.workload': 'frontend-1',
        'src.namespace': 'shop',
        'src.identity': 'spiffe://cluster.local/ns/shop/sa/frontend',
        'src.cluster': 'test',
        'dst.addr': '10.0.2.1:15008',
        'dst.hbone_addr': '10.0.2.1:8080',
        'dst.service': 'cart.shop.svc.cluster.local',
        'dst.workload': 'cart',
        'dst.namespace': 'shop',
        'dst.identity': 'spiffe://cluster.local/ns/shop/sa/cart',
        'dst.cluster': 'test',
        direction: 'inbound',
        bytes_sent: 20,
        bytes_recv: 10,
        duration: '5ms',
      },
    );
    assert.ok(lines.some((each) => each['level'] === 'debug' && each['msg'] === 'connection opened'));
  });

  it('says which policy cut a live connection', () => {
    connect(1);
    const deny = policy({ name: 'no', action: 'deny', rules: [{ clauses: [{ matches: [] }] }] });
    table.reauthorize(base.with({ policies: [deny] }), () => cart.uid);
    table.closed(closedEvent(1, { reason: 'denied', endedBy: 'engine' }));

    const line = lines.at(-1);
    assert.equal(line?.['level'], 'error');
    assert.equal(line?.['policy'], 'shop/no');
    assert.equal(line?.['error'], 'connection closed due to policy rejection: explicitly denied by: shop/no');
  });

  it('says why a connection was refused, at the level of its cause', () => {
    connect(1, 'other', base.with({ policies: [allowed('frontend')] }));
    table.closed(closedEvent(1, { reason: 'denied', bytesSent: 0, bytesReceived: 0 }));
    assert.equal(lines.at(-1)?.['level'], 'error');
    assert.equal(
      lines.at(-1)?.['error'],
      'connection closed due to policy rejection: allow policies exist, but none allowed',
    );

    const unrouted = connect(2);
    table.closed(closedEvent(2));
    table.add({ ...unrouted, id: 3, refusal: { reason: 'bad_request', message: 'no such place' } });
    table.closed(closedEvent(3, { reason: 'bad_request' }));
    assert.equal(lines.at(-1)?.['level'], 'warn');
    assert.equal(lines.at(-1)?.['msg'], 'connection failed');
  });

  it('counts what was opened, carried and closed, once', async () => {
    connect(1);
    table.countLiveBytes(() => ({ bytesSent: 4, bytesReceived: 5 }));
    table.closed(closedEvent(1));
    table.closed(closedEvent(1));

    const [opened] = await metric('istio_tcp_connections_opened_total');
    assert.match(opened ?? '', / 1$/);
    for (const label of [
      'reporter="destination"',
      'source_workload="frontend"',
      'source_principal="spiffe://cluster.local/ns/shop/sa/frontend"',
      'destination_service="cart.shop.svc.cluster.local"',
      'destination_workload_namespace="shop"',
      'connection_security_policy="mutual_tls"',
      'request_protocol="tcp"',
      'response_flags="-"',
      'source_region="unknown"',
    ])
      assert.ok(opened?.includes(label), label);
    assert.match((await metric('istio_tcp_connections_closed_total'))[0] ?? '', / 1$/);
    assert.match((await metric('istio_tcp_received_bytes_total'))[0] ?? '', / 10$/);
    assert.match((await metric('istio_tcp_sent_bytes_total'))[0] ?? '', / 20$/);
    assert.deepEqual(await metric('istio_tcp_connections_failed_total{'), []);
  });

  it('counts a denial as failed, with its flag and policy', async () => {
    connect(1, 'other', base.with({ policies: [allowed('frontend')] }));
    table.closed(closedEvent(1, { reason: 'denied' }));

    const [failed] = await metric('istio_tcp_connections_failed_total{');
    assert.match(failed ?? '', /response_flags="DENY".* 1$/);
    assert.match((await metric('culvert_policy_denials_total{'))[0] ?? '', /policy="none_allowed"} 1/);
  });

  it('holds no more connections than it may, and remembers only the last that ended', () => {
    for (const id of [1, 2, 3]) connect(id);
    assert.ok(table.full);
    assert.equal(table.countOf('p'), 3);

    for (const id of [1, 2, 3]) table.closed(closedEvent(id));

    assert.equal(table.size, 0);
    assert.equal(table.countOf('p'), 0);
    assert.deepEqual(
      table.recent.map((finished) => finished.connection.id),
      [2, 3],
    );
  });
});
