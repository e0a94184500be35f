import assert from 'node:assert/strict';
import { ip, parseSocketAddress } from '../../src/mesh/address.ts';
import type { Service } from '../../src/mesh/service.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { GatewayAddress, Workload } from '../../src/mesh/workload.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { routeOutbound } from '../../src/ztunnel/route-outbound.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { service, workload } from '../support/mesh-objects.ts';

const cartKey = 'shop/cart.shop.svc.cluster.local';
const waypointKey = 'shop/waypoint.shop.svc.cluster.local';
const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
const cartService = service({ name: 'cart', subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other'] });
const cart = workload({
  name: 'cart',
  addresses: [ip('10.0.2.1')],
  services: new Map([[cartKey, [{ servicePort: 80, targetPort: 8080 }]]]),
});
const gateway: GatewayAddress = {
  destination: { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
  hbonePort: 15008,
};
const waypointService = service({
  name: 'waypoint',
  addresses: [{ network: '', ip: ip('10.96.0.9') }],
  ports: [],
});
const waypoint = workload({
  name: 'waypoint',
  addresses: [ip('10.0.9.1')],
  services: new Map([[waypointKey, []]]),
});

function route(update: MeshUpdate, destination: string, source: Workload = frontend) {
  const snapshot = MeshSnapshot.empty().with({
    ...update,
    workloads: [source, ...(update.workloads ?? [])],
  });
  return routeOutbound({
    snapshot,
    source,
    client: { ip: ip('10.0.1.1'), port: 40000 },
    originalDst: parseSocketAddress(destination) ?? assert.fail(destination),
    picker: new LoadBalancer({ clock: new FakeClock(), random: () => 0 }),
    hbonePort: 15008,
  });
}

function tunnel(result: ReturnType<typeof route>) {
  assert.ok(result.kind === 'tunnel', JSON.stringify(result));
  return {
    via: `${result.via.ip}:${result.via.port}`,
    target: `${result.target.ip}:${result.target.port}`,
    identities: result.expectedIdentities,
  };
}

function outcome(result: ReturnType<typeof route>): string {
  if (result.kind === 'plain') return `plain ${result.to.ip}:${result.to.port} ${result.cause}`;
  return result.kind === 'refuse' ? `refuse ${result.reason}` : 'tunnel';
}

describe('an outbound connection', () => {
  it('to a service goes to an endpoint on its own port, through a tunnel', () => {
    assert.deepEqual(tunnel(route({ workloads: [cart], services: [cartService] }, '10.96.0.1:80')), {
      via: '10.0.2.1:15008',
      target: '10.0.2.1:8080',
      identities: ['spiffe://cluster.local/ns/shop/sa/cart', 'spiffe://cluster.local/ns/shop/sa/other'],
    });
  });

  it('to a pod goes to that pod and expects its identity alone', () => {
    assert.deepEqual(tunnel(route({ workloads: [cart], services: [cartService] }, '10.0.2.1:9999')), {
      via: '10.0.2.1:15008',
      target: '10.0.2.1:9999',
      identities: ['spiffe://cluster.local/ns/shop/sa/cart'],
    });
  });

  const plain: [string, MeshUpdate, string, string, Workload?][] = [
    [
      'an address the mesh does not know',
      {},
      '93.184.216.34:443',
      'plain 93.184.216.34:443 unknown_destination',
    ],
    [
      'a pod that is not enrolled',
      { workloads: [{ ...cart, tunnelProtocol: 'none' }] },
      '10.0.2.1:80',
      'plain 10.0.2.1:80 not_enrolled',
    ],
    [
      'a service whose endpoint is not enrolled',
      { workloads: [{ ...cart, tunnelProtocol: 'none' }], services: [cartService] },
      '10.96.0.1:80',
      'plain 10.0.2.1:8080 not_enrolled',
    ],
    [
      'a pod in the host network',
      { workloads: [{ ...cart, hostNetwork: true }] },
      '10.0.2.1:80',
      'plain 10.0.2.1:80 not_enrolled',
    ],
    [
      'a node address shared by pods in the host network',
      {
        workloads: [
          { ...cart, uid: 'a', hostNetwork: true },
          { ...cart, uid: 'b', hostNetwork: true },
        ],
      },
      '10.0.2.1:80',
      'plain 10.0.2.1:80 not_enrolled',
    ],
    [
      'a passthrough service',
      {
        workloads: [cart],
        services: [
          { ...cartService, loadBalancing: { mode: 'passthrough', scopes: [], allowUnhealthy: false } },
        ],
      },
      '10.96.0.1:80',
      'plain 10.96.0.1:80 passthrough',
    ],
    [
      'its own service, when it is chosen itself',
      { services: [cartService] },
      '10.96.0.1:80',
      'plain 10.0.2.1:8080 own_address',
      cart,
    ],
    [
      'port 15008 by an application that speaks HBONE itself',
      { workloads: [cart] },
      '10.0.2.1:15008',
      'plain 10.0.2.1:15008 native_tunnel',
      { ...frontend, nativeTunnel: true },
    ],
  ];
  for (const [name, update, destination, expected, source] of plain)
    it(`to ${name} goes out as it is`, () => {
      assert.equal(outcome(route(update, destination, source)), expected);
    });

  const refused: [string, MeshUpdate, string, string][] = [
    ['a service without workloads', { services: [cartService] }, '10.96.0.1:80', 'refuse no_route'],
    [
      'a service whose endpoints are unhealthy',
      { workloads: [{ ...cart, healthy: false }], services: [cartService] },
      '10.96.0.1:80',
      'refuse no_route',
    ],
    [
      'a port the service does not have',
      { workloads: [cart], services: [cartService] },
      '10.96.0.1:81',
      'refuse no_route',
    ],
    ['the address of its own pod', {}, '10.0.1.1:33333', 'refuse self_call'],
    ['the proxy of a peer', { workloads: [cart] }, '10.0.2.1:15008', 'refuse self_call'],
    [
      'an address that two pods claim',
      { workloads: [cart, { ...cart, uid: 'thief' }] },
      '10.0.2.1:80',
      'refuse no_route',
    ],
  ];
  for (const [name, update, destination, expected] of refused)
    it(`to ${name} is refused`, () => {
      assert.equal(outcome(route(update, destination)), expected);
    });

  it('says why the service had no endpoint', () => {
    const result = route(
      { workloads: [{ ...cart, healthy: false }], services: [cartService] },
      '10.96.0.1:80',
    );

    assert.equal(result.context.refusal, 'unhealthy');
  });
});

describe('a waypoint', () => {
  const withWaypoint: Service = { ...cartService, waypoint: gateway };

  it('of a service takes the connection under the service address', () => {
    const result = route(
      { workloads: [cart, waypoint], services: [withWaypoint, waypointService] },
      '10.96.0.1:80',
    );

    assert.deepEqual(tunnel(result), {
      via: '10.0.9.1:15008',
      target: '10.96.0.1:80',
      identities: ['spiffe://cluster.local/ns/shop/sa/waypoint'],
    });
    assert.equal(result.context.waypoint?.workload, waypoint);
  });

  it('of a workload takes the connection to its address', () => {
    const result = route(
      { workloads: [{ ...cart, waypoint: gateway }, waypoint], services: [waypointService] },
      '10.0.2.1:9999',
    );

    assert.equal(tunnel(result).via, '10.0.9.1:15008');
    assert.equal(tunnel(result).target, '10.0.2.1:9999');
  });

  it('may be given by the address of its service or of its pod', () => {
    for (const address of ['10.96.0.9', '10.0.9.1']) {
      const byAddress: GatewayAddress = {
        destination: { kind: 'address', network: '', ip: ip(address) },
        hbonePort: 15008,
      };
      const services = [{ ...cartService, waypoint: byAddress }, waypointService];

      const result = route({ workloads: [cart, waypoint], services }, '10.96.0.1:80');

      assert.equal(tunnel(result).via, '10.0.9.1:15008');
    }
  });

  const unusable: [string, MeshUpdate][] = [
    ['without a service', { workloads: [cart], services: [withWaypoint] }],
    ['without an instance', { workloads: [cart], services: [withWaypoint, waypointService] }],
    [
      'whose instance is not healthy',
      { workloads: [cart, { ...waypoint, healthy: false }], services: [withWaypoint, waypointService] },
    ],
    [
      'on another network',
      { workloads: [cart, { ...waypoint, network: 'other' }], services: [withWaypoint, waypointService] },
    ],
  ];
  for (const [name, update] of unusable)
    it(`${name} is never bypassed`, () => {
      assert.equal(outcome(route(update, '10.96.0.1:80')), 'refuse no_waypoint');
    });

  it('does not stand in the way of its own traffic', () => {
    const result = route(
      { workloads: [cart], services: [withWaypoint, waypointService] },
      '10.96.0.1:80',
      waypoint,
    );

    assert.equal(tunnel(result).via, '10.0.2.1:15008');
  });
});
