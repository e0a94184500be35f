import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { service, workload } from '../support/mesh-objects.ts';

const source = workload({ name: 'frontend' });
const sticky = service({
  name: 'cart',
  loadBalancing: { mode: 'any', scopes: [], allowUnhealthy: false, clientIpAffinityMs: 1000 },
});
const query = { service: sticky, servicePort: 80, source, ipv6: false };
const pods = [1, 2, 3, 4, 5, 6, 7, 8].map((i) =>
  workload({ name: `cart-${i}`, services: new Map([['shop/cart.shop.svc.cluster.local', []]]) }),
);
const client = ip('10.0.0.7');

describe('client affinity', () => {
  it('keeps its endpoint when better ones appear, and for as long as it comes back in time', () => {
    const clock = new FakeClock();
    const balancer = new LoadBalancer({ clock });
    const full = MeshSnapshot.empty().with({ services: [sticky], workloads: pods });
    const first = balancer.pick(full, query, client)?.workload ?? assert.fail();
    const rest = pods.filter((pod) => pod !== first);
    const second = balancer.pick(full.with({ removedWorkloads: [first.uid] }), query, client)?.workload;
    assert.ok(second !== undefined && rest.includes(second));

    for (let i = 0; i < 3; i += 1) {
      clock.advance(900);
      assert.equal(balancer.pick(full, query, client)?.workload, second);
    }
    clock.advance(1001);
    assert.equal(balancer.pick(full, query, client)?.workload, first);
  });

  it('forgets the oldest client when its table is full', () => {
    const balancer = new LoadBalancer({ clock: new FakeClock(), affinitiesMax: 1 });
    const full = MeshSnapshot.empty().with({ services: [sticky], workloads: pods });
    const first = balancer.pick(full, query, client)?.workload ?? assert.fail();
    const without = full.with({ removedWorkloads: [first.uid] });
    balancer.pick(without, query, client);
    balancer.pick(full, query, ip('10.0.0.8'));

    assert.equal(balancer.pick(full, query, client)?.workload, first);
  });
});

describe('the sets of usable endpoints', () => {
  it('follow the snapshot', () => {
    const balancer = new LoadBalancer({ clock: new FakeClock() });
    const plain = { ...query, service: service({ name: 'cart' }) };
    const before = MeshSnapshot.empty().with({ services: [plain.service], workloads: pods });

    assert.equal(balancer.endpoints(before, plain).endpoints.length, 8);
    assert.equal(
      balancer.endpoints(before.with({ removedWorkloads: [pods[0]?.uid ?? ''] }), plain).endpoints.length,
      7,
    );
  });
});
