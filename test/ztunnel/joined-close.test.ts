// A connection between two pods of a node in the connection table: one id, two ends.
import assert from 'node:assert/strict';
import type { ClosedEvent } from '../../src/engine/types.ts';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { AccessLog } from '../../src/ztunnel/access-log.ts';
import { ConnectionTable } from '../../src/ztunnel/connection-table.ts';
import { decideOutboundDirect } from '../../src/ztunnel/decide-direct.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { ConnectionMetrics } from '../../src/ztunnel/metrics.ts';
import { closedEvent, connectedEvent, outboundEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, workload } from '../support/mesh-objects.ts';

const id = (account: string): string => `spiffe://cluster.local/ns/shop/sa/${account}`;
const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
const cart = workload({ name: 'cart', addresses: [ip('10.0.2.1')] });
const mesh = MeshSnapshot.empty().with({ workloads: [frontend, cart] });

describe('a connection between two pods of a node', () => {
  let closes: { ids: readonly number[]; reason: string }[];
  let table: ConnectionTable;

  beforeEach(() => {
    closes = [];
    table = new ConnectionTable({
      accessLog: new AccessLog({
        logger: createLogger({ level: 'silent', format: 'json', write: () => undefined }),
        mode: 'all',
      }),
      metrics: new ConnectionMetrics(createMetrics({ processMetrics: false })),
      close: (ids, reason) => void closes.push({ ids, reason }),
      connectionsMax: 3,
    });
    const { connection, peer } = decideOutboundDirect(
      {
        snapshot: mesh,
        workload: frontend,
        picker: new LoadBalancer({ clock: new FakeClock() }),
        hasIdentity: () => true,
        hbonePort: 15008,
        keepSourceAddress: true,
        nowMs: 1000,
        localPod: (of) => (of === cart ? { podId: 'c', workload: cart, identity: id('cart') } : undefined),
      },
      outboundEvent(1, 'f', '10.0.1.1:40000', '10.0.2.1:8080'),
    );
    table.add(connection, peer);
    table.connected(connectedEvent(1), 1001);
  });

  /** Reasons at the source's and at the destination's end. */
  function closed(event: Partial<ClosedEvent>): readonly string[] {
    table.closed(closedEvent(1, event));
    return table.recent.map((end) => (end.revoked ?? end.closed).reason);
  }

  it('is one connection of the node, and one of each pod', () => {
    assert.equal(table.size, 1);
    assert.deepEqual([table.countOf('f'), table.countOf('c')], [1, 1]);
    assert.deepEqual(
      [...table.live()].map(({ connection }) => connection.direction),
      ['outbound', 'inbound'],
    );

    assert.deepEqual(table.closed(closedEvent(1)), ['f', 'c']);
    assert.deepEqual([table.size, table.countOf('f'), table.countOf('c')], [0, 0, 0]);
    assert.deepEqual(table.closed(closedEvent(1)), []);
  });

  const ends: readonly (readonly [string, Partial<ClosedEvent>, readonly string[]])[] = [
    ['a clean end is one at both', { reason: 'ok' }, ['ok', 'ok']],
    [
      'a reset is by the application here, by the peer there',
      { reason: 'app_reset', endedBy: 'initiator' },
      ['app_reset', 'peer_reset'],
    ],
    [
      'a reset by the destination, the other way round',
      { reason: 'app_reset', endedBy: 'target' },
      ['peer_reset', 'app_reset'],
    ],
    [
      'a reset after all was delivered is no reset to the other',
      { reason: 'app_reset', endedBy: 'target', afterEnd: true },
      ['ok', 'app_reset'],
    ],
    [
      'the end of a drain is told to the pod that goes',
      { reason: 'drained', endedBy: 'target' },
      ['peer_reset', 'drained'],
    ],
    ['the end of the node, to both', { reason: 'drained', endedBy: 'engine' }, ['drained', 'drained']],
    [
      'a self-call is found by the destination',
      { reason: 'self_call', endedBy: 'engine' },
      ['connect_failed', 'self_call'],
    ],
    [
      'a request to close, to both',
      { reason: 'closed_by_request', endedBy: 'engine' },
      ['closed_by_request', 'closed_by_request'],
    ],
  ];
  for (const [situation, event, reasons] of ends)
    it(`ends as through a tunnel: ${situation}`, () => assert.deepEqual(closed(event), reasons));

  it('is cut by the policies of the destination alone, and the source hears a reset', () => {
    const onlyCart = policy({
      name: 'only-cart',
      rules: [
        { clauses: [{ matches: [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'cart' }] }] }] },
      ],
    });
    table.reauthorize(mesh.with({ policies: [onlyCart] }), (podId) =>
      podId === 'c' ? cart.uid : frontend.uid,
    );

    assert.deepEqual(closes, [{ ids: [1], reason: 'denied' }]);
    assert.deepEqual(closed({ reason: 'denied', endedBy: 'engine' }), ['peer_reset', 'denied']);
  });

  it('is cut once by a revoked certificate, and told at the end that looked at it', () => {
    assert.equal(table.revoke(new Set([id('frontend')])), 1);
    assert.equal(table.revoke(new Set([id('frontend')])), 0);

    assert.deepEqual(closes, [{ ids: [1], reason: 'cert_revoked' }]);
    assert.deepEqual(closed({ reason: 'cert_revoked', endedBy: 'engine' }), ['peer_reset', 'cert_revoked']);
  });

  it('is closed once for two revoked certificates', () => {
    assert.equal(table.revoke(new Set([id('frontend'), id('cart')])), 1);

    assert.deepEqual(closes, [{ ids: [1], reason: 'cert_revoked' }]);
    assert.deepEqual(closed({ reason: 'cert_revoked', endedBy: 'engine' }), ['cert_revoked', 'cert_revoked']);
  });
});
