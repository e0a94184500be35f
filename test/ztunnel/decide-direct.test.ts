import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import type { PodSettings } from '../../src/mesh/pod-settings.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { DirectContext } from '../../src/ztunnel/decide-direct.ts';
import { decideOutboundDirect } from '../../src/ztunnel/decide-direct.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { outboundEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';

const id = (account: string): string => `spiffe://cluster.local/ns/shop/sa/${account}`;
const frontend = workload({
  name: 'frontend',
  serviceAccount: 'frontend',
  addresses: [ip('10.0.1.1'), ip('fd00::1')],
});
const cart = workload({
  name: 'cart',
  serviceAccount: 'cart',
  addresses: [ip('10.0.2.1'), ip('fd00::2')],
  services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const mesh: MeshUpdate = { workloads: [frontend, cart], services: [service({ name: 'cart' })] };
const settings: PodSettings = {
  uid: cart.uid,
  namespace: 'shop',
  name: 'cart',
  trustDomain: 'cluster.local',
  serviceAccount: 'cart',
  enrolled: true,
  probePorts: [],
  nodeAddresses: [],
  exclusions: noExclusions,
};

interface Case {
  readonly update?: MeshUpdate;
  readonly without?: readonly string[];
  readonly proves?: string;
  readonly here?: boolean;
}

function context({ update = {}, without = [], proves = id('cart'), here = true }: Case = {}): DirectContext {
  return {
    snapshot: MeshSnapshot.empty().with(mesh).with(update),
    workload: frontend,
    picker: new LoadBalancer({ clock: new FakeClock(), random: () => 0 }),
    hasIdentity: (identity) => !without.includes(identity),
    hbonePort: 15008,
    keepSourceAddress: true,
    nowMs: 1,
    localPod: (workload) =>
      here && workload.name === 'cart'
        ? { podId: 'pod-cart', workload, settings, identity: proves }
        : undefined,
  };
}

describe('the decision about a connection between two pods of a node', () => {
  const event = outboundEvent(1, 'pod-frontend', '10.0.1.1:40000', '10.96.0.1:80');

  it('joins them at the port of the service, and shows the client by its own address', () => {
    const { decision, connection, peer } = decideOutboundDirect(context(), event);

    assert.deepEqual(decision, {
      kind: 'direct',
      podId: 'pod-cart',
      to: { ip: '10.0.2.1', port: 8080 },
      source: '10.0.1.1',
    });
    assert.deepEqual(
      [connection.podId, connection.direction, connection.security, connection.hboneAddress],
      ['pod-frontend', 'outbound', 'same_node', undefined],
    );
    assert.deepEqual(
      [peer?.podId, peer?.direction, peer?.security, peer?.hboneAddress],
      ['pod-cart', 'inbound', 'same_node', undefined],
    );
    assert.deepEqual(
      [peer?.source.workload, peer?.source.identity, peer?.source.address],
      [frontend, id('frontend'), { ip: '10.0.1.1', port: 40000 }],
    );
    assert.equal(peer?.service?.name, 'cart');
    assert.equal(peer?.traceId, connection.traceId);
    assert.equal(peer?.authorization?.sourceIdentity?.serviceAccount, 'frontend');
  });

  it('is a denial at both ends where the policies of the destination deny', () => {
    const onlyOthers = policy({
      name: 'others',
      rules: [
        { clauses: [{ matches: [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'other' }] }] }] },
      ],
    });

    const { decision, connection, peer } = decideOutboundDirect(
      context({ update: { policies: [onlyOthers] } }),
      event,
    );

    assert.deepEqual(decision, { kind: 'refuse', reason: 'denied', status: 401 });
    assert.equal(connection.refusal, undefined);
    assert.equal(peer?.refusal?.reason, 'denied');
  });

  it('asks policies about the address that a tunnel would have come from', () => {
    const odd = outboundEvent(1, 'pod-frontend', '192.0.2.7:40000', '10.96.0.1:80');

    const { peer } = decideOutboundDirect(context(), odd);

    assert.equal(peer?.authorization?.sourceIp, '10.0.1.1');
  });

  it('is what the client is told of an answer other than 401', () => {
    const proxied = { ...cart, applicationTunnel: { protocol: 'proxy' as const, port: 8080 } };

    const { decision, peer } = decideOutboundDirect(context({ update: { workloads: [proxied] } }), event);

    assert.deepEqual(decision, { kind: 'refuse', reason: 'connect_failed', status: 503 });
    assert.equal(peer?.refusal?.reason, 'no_route');
  });

  const tunnels: readonly (readonly [string, Case])[] = [
    ['the destination is not a pod that takes connections here', { here: false }],
    ['the destination has no valid certificate', { without: [id('cart')] }],
    ['the destination would prove an identity that is not expected', { proves: id('other') }],
    [
      'the destination takes clients of another trust domain only',
      {
        proves: 'spiffe://other.org/ns/shop/sa/cart',
        update: { workloads: [{ ...cart, trustDomain: 'other.org' }] },
      },
    ],
  ];
  for (const [situation, given] of tunnels)
    it(`is the tunnel, which fails or not as between nodes, where ${situation}`, () => {
      const { decision, connection, peer } = decideOutboundDirect(context(given), event);

      assert.equal(decision.kind, 'tunnel');
      assert.equal(connection.security, 'mutual_tls');
      assert.equal(peer, undefined);
    });

  it('is the tunnel to a waypoint that stands before the destination, though both are here', () => {
    const waypoint = workload({ name: 'waypoint', addresses: [ip('10.0.3.1')] });
    const gateway = {
      destination: { kind: 'address', network: '', ip: ip('10.0.3.1') } as const,
      hbonePort: 15008,
    };
    const guarded = service({ name: 'cart', waypoint: gateway });
    const given = context({ update: { workloads: [waypoint], services: [guarded] } });
    const everyWaypointIsHere = {
      ...given,
      localPod: (of: typeof waypoint) => ({ podId: 'w', workload: of, identity: id('default') }),
    };

    const { decision } = decideOutboundDirect(everyWaypointIsHere, event);

    assert.ok(decision.kind === 'tunnel');
    assert.deepEqual(decision.via, { ip: '10.0.3.1', port: 15008 });
  });

  it('is a refusal without a certificate of the source', () => {
    const { decision, peer } = decideOutboundDirect(context({ without: [id('frontend')] }), event);

    assert.deepEqual(decision, { kind: 'refuse', reason: 'identity_error' });
    assert.equal(peer, undefined);
  });

  it('is plain TCP to outside the mesh, as ever', () => {
    const outside = outboundEvent(1, 'pod-frontend', '10.0.1.1:40000', '1.1.1.1:443');

    assert.equal(decideOutboundDirect(context(), outside).decision.kind, 'plain');
  });
});
