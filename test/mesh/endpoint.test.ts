import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/mesh/address.ts';
import type { EndpointQuery } from '../../src/mesh/endpoint.ts';
import { affineEndpoint, candidatesOf, drawEndpoint, endpointSet } from '../../src/mesh/endpoint.ts';
import type { LoadBalancing } from '../../src/mesh/service.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { service, workload } from '../support/mesh-objects.ts';

const key = 'shop/cart.shop.svc.cluster.local';
const source = workload({
  name: 'frontend',
  node: 'node1',
  locality: { region: 'r1', zone: 'z1', subzone: '' },
});

function pod(name: string, overrides: Partial<Workload> = {}): Workload {
  const services = new Map([[key, [{ servicePort: 80, targetPort: 8080 }]]]);
  return workload({ name, addresses: [ip('10.0.0.9'), ip('fd00::9')], services, ...overrides });
}

function query(loadBalancing: Partial<LoadBalancing> = {}): EndpointQuery {
  const balanced = { mode: 'any' as const, scopes: [], allowUnhealthy: false, ...loadBalancing };
  return {
    service: service({ name: 'cart', loadBalancing: balanced }),
    servicePort: 80,
    source,
    ipv6: false,
  };
}

function names(q: EndpointQuery, workloads: readonly Workload[]): string[] {
  return endpointSet(q, workloads).endpoints.map((endpoint) => endpoint.workload.name);
}

describe('the endpoints of a service', () => {
  const table: [string, Partial<Workload>, string][] = [
    ['is not healthy', { healthy: false }, 'unhealthy'],
    ['is on another network', { network: 'other' }, 'other_network'],
    ['has no address of the family dialled', { addresses: [ip('fd00::9')] }, 'no_address_of_family'],
    ['has no capacity', { capacity: 0 }, 'no_capacity'],
  ];
  for (const [name, overrides, refusal] of table)
    it(`leave out a workload that ${name}`, () => {
      assert.equal(endpointSet(query(), [pod('a', overrides)]).refusal, refusal);
    });

  it('include an unhealthy one where the service asks for it', () => {
    assert.deepEqual(names(query({ allowUnhealthy: true }), [pod('a', { healthy: false })]), ['a']);
  });

  it('are reached on the port that each of them maps', () => {
    const named = { ...query(), service: service({ name: 'cart', ports: [] }) };
    const other = pod('b', { services: new Map([[key, [{ servicePort: 80, targetPort: 9090 }]]]) });

    assert.deepEqual(
      endpointSet(named, [pod('a'), other]).endpoints.map((endpoint) => endpoint.port),
      [8080, 9090],
    );
  });

  it('leave out one without the port, unless the query has a default', () => {
    const odd = { ...query(), servicePort: 15008 };

    assert.equal(endpointSet(odd, [pod('a')]).refusal, 'port_not_served');
    assert.equal(endpointSet({ ...odd, defaultPort: 15008 }, [pod('a')]).endpoints[0]?.port, 15008);
  });

  it('keep the family that was dialled', () => {
    assert.equal(endpointSet({ ...query(), ipv6: true }, [pod('a')]).endpoints[0]?.ip, 'fd00::9');
  });

  it('are only those of the node where the service is local to nodes', () => {
    const strict = query({ mode: 'strict', scopes: ['node'] });

    assert.deepEqual(names(strict, [pod('here'), pod('there', { node: 'node2' })]), ['here']);
    assert.equal(endpointSet(strict, [pod('there', { node: 'node2' })]).refusal, 'outside_locality');
  });

  it('are the nearest with failover, and the next when those are gone', () => {
    const failover = query({ mode: 'failover', scopes: ['region', 'zone', 'node'] });
    const zone = { region: 'r1', zone: 'z1', subzone: '' };
    const near = pod('near', { locality: zone, node: 'node2' });
    const nearer = pod('nearer', { locality: zone, node: 'node1' });
    const far = pod('far', { locality: { ...zone, region: 'r2' }, node: 'node1' });

    assert.deepEqual(names(failover, [far, near, nearer]), ['nearer']);
    assert.deepEqual(names(failover, [far, near, { ...nearer, healthy: false }]), ['near']);
    assert.deepEqual(names(failover, [far]), ['far']);
    assert.deepEqual(
      candidatesOf(failover, [far, nearer]).map((each) => each.kind),
      ['refused', 'usable'],
    );
  });
});

describe('drawing an endpoint', () => {
  it('follows the capacities', () => {
    const set = endpointSet(query(), [pod('a', { capacity: 1 }), pod('b', { capacity: 3 })]);
    const drawn = (random: number) => drawEndpoint(set, random)?.workload.name;

    assert.deepEqual([0, 0.24, 0.25, 0.99].map(drawn), ['a', 'a', 'b', 'b']);
  });

  it('finds nothing in an empty set', () => {
    assert.equal(drawEndpoint(endpointSet(query(), []), 0.5), undefined);
    assert.equal(affineEndpoint(endpointSet(query(), []), ip('10.0.0.1')), undefined);
  });

  const pods = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });

  it('gives each endpoint its share of the range', () => {
    fc.assert(
      fc.property(pods, fc.double({ min: 0, max: 0.999999, noNaN: true }), (capacities, random) => {
        const set = endpointSet(
          query(),
          capacities.map((capacity, i) => pod(`p${i}`, { capacity })),
        );
        const total = capacities.reduce((a, b) => a + b, 0);
        let before = 0;
        const expected = capacities.findIndex((capacity) => random * total < (before += capacity));
        assert.equal(drawEndpoint(set, random)?.workload.name, `p${expected}`);
      }),
    );
  });

  it('with affinity moves only the clients of an endpoint that left', () => {
    fc.assert(
      fc.property(pods, fc.nat(255), (capacities, last) => {
        const client = ip(`10.1.2.${last}`);
        const all = capacities.map((capacity, i) => pod(`p${i}`, { capacity }));
        const chosen = affineEndpoint(endpointSet(query(), all), client);
        const others = all.filter((each) => each.name === chosen?.workload.name || each.name !== 'p0');
        assert.equal(
          affineEndpoint(endpointSet(query(), others), client)?.workload.uid,
          chosen?.workload.uid,
        );
      }),
    );
  });

  it('with affinity spreads clients by capacity', () => {
    const set = endpointSet(query(), [pod('a', { capacity: 1 }), pod('b', { capacity: 3 })]);
    let b = 0;
    for (let i = 0; i < 4000; i += 1)
      if (affineEndpoint(set, ip(`10.2.${i >> 8}.${i & 255}`))?.workload.name === 'b') b += 1;

    assert.ok(Math.abs(b / 4000 - 0.75) < 0.05, `${b} of 4000`);
  });
});
