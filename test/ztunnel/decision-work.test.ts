// What a decision costs does not depend on how much else is in the mesh. Work is counted, not timed.
import assert from 'node:assert/strict';
import type { IpAddress } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import type { DecisionContext } from '../../src/ztunnel/decide.ts';
import { decideConnect, decideOutbound, decidePlaintext } from '../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { connectEvent, outboundEvent, plaintextEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  block,
  crowdedWorkload,
  exact,
  largeMesh,
  longPolicyWorkload,
  podIpAt,
  policyOf,
  principalAt,
  serviceIpAt,
} from '../support/large-mesh.ts';
import { service, workload } from '../support/mesh-objects.ts';
import { countWork } from '../support/work.ts';

const large = MeshSnapshot.empty().with(largeMesh({ workloads: 5_000, services: 500, policies: 2_000 }));
const few = MeshSnapshot.empty();
/** Host names outside the cluster have the longest blocks of virtual addresses. */
const outside = service({
  name: 'outside',
  namespace: 'mine',
  addresses: [{ network: '', ip: '240.240.0.0' as IpAddress, length: 16 }],
});

const client = workload({
  name: 'client',
  namespace: 'mine',
  addresses: ['10.201.0.1' as IpAddress, 'fd01::1' as IpAddress],
});
const server = workload({
  name: 'server',
  namespace: 'mine',
  addresses: ['10.201.0.2' as IpAddress],
  policies: ['mine/selected'],
  services: new Map([['mine/server.mine.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const mine = {
  workloads: [client, server],
  services: [
    service({
      name: 'server',
      namespace: 'mine',
      addresses: [{ network: '', ip: '172.30.0.1' as IpAddress }],
    }),
    outside,
  ],
  policies: [
    policyOf('here', { namespaces: [exact('mine')] }, { namespace: 'mine' }),
    policyOf(
      'selected',
      { sourceIps: [block('192.168.0.0', 16)] },
      { namespace: 'mine', scope: 'workload', action: 'deny' },
    ),
  ],
};

function contextOf(snapshot: MeshSnapshot, of: Workload, picker = balancer()): DecisionContext {
  return {
    snapshot,
    workload: of,
    picker,
    hasIdentity: () => true,
    hbonePort: 15008,
    keepSourceAddress: true,
    nowMs: 0,
  };
}

function balancer(): LoadBalancer {
  return new LoadBalancer({ clock: new FakeClock(), random: () => 0 });
}

function connect(to: Workload, peerIdentity: string, context: DecisionContext): void {
  const [address = podIpAt(0)] = to.addresses;
  const event = connectEvent({
    id: 1,
    podId: 'p',
    peer: { ip: client.addresses[0] ?? address, port: 40_000 },
    local: { ip: address, port: 15008 },
    authority: `${address}:8080`,
    peerIdentity,
  });
  decideConnect(context, event);
}

const spiffe = 'spiffe://cluster.local/ns/mine/sa/client';
const decisions: Readonly<Record<string, (snapshot: MeshSnapshot, picker: LoadBalancer) => void>> = {
  'an outbound connection to a service': (snapshot, picker) =>
    void decideOutbound(
      contextOf(snapshot, client, picker),
      outboundEvent(1, 'p', '10.201.0.1:40000', '172.30.0.1:80'),
    ),
  'an outbound connection to a pod': (snapshot, picker) =>
    void decideOutbound(
      contextOf(snapshot, client, picker),
      outboundEvent(1, 'p', '10.201.0.1:40000', '10.201.0.2:80'),
    ),
  'an outbound connection into a virtual block': (snapshot, picker) =>
    void decideOutbound(
      contextOf(snapshot, client, picker),
      outboundEvent(1, 'p', '10.201.0.1:40000', '240.240.3.3:80'),
    ),
  'a CONNECT': (snapshot, picker) => connect(server, spiffe, contextOf(snapshot, server, picker)),
  'a plaintext connection': (snapshot, picker) =>
    void decidePlaintext(
      contextOf(snapshot, server, picker),
      plaintextEvent(1, 'p', '10.201.0.1:40000', '10.201.0.2:8080'),
    ),
};

describe('the work of a decision', function () {
  this.timeout(60_000);

  for (const [name, decide] of Object.entries(decisions)) {
    it(`about ${name} is the same in a mesh of hundreds of times as many workloads and policies`, () => {
      const [small, big] = [few.with(mine), large.with(mine)];
      const [smallPicker, bigPicker] = [balancer(), balancer()];

      const first = countWork(() => decide(big, bigPicker)) / countWork(() => decide(small, smallPicker));
      const next = countWork(() => decide(small, smallPicker));

      // The first also works out the 20 policies of the whole mesh.
      assert.ok(first < 100, `the first did ${first} times as much`);
      assert.ok(next > 10);
      const again = countWork(() => decide(big, bigPicker));
      assert.ok(again < 2 * next, `${again} blocks ran, ${next} in the small mesh`);
    });

    it(`about ${name} is the same after something else in the mesh changed`, () => {
      const picker = balancer();
      const snapshot = large.with(mine);
      decide(snapshot, picker);
      const before = countWork(() => decide(snapshot, picker));

      for (const changed of [
        { workloads: [workload({ name: 'other', namespace: 'elsewhere', addresses: [podIpAt(60_000)] })] },
        { policies: [policyOf('other', { namespaces: [exact('x')] }, { namespace: 'elsewhere' })] },
        {
          services: [
            service({ name: 'x', namespace: 'elsewhere', addresses: [{ network: '', ip: serviceIpAt(9) }] }),
          ],
        },
      ]) {
        const after = countWork(() => decide(snapshot.with(changed), picker));
        assert.ok(after - before < 1_000, `${after} blocks ran instead of ${before}`);
      }
    });
  }

  it('is that of a few policies where hundreds select a workload', () => {
    const cost = (policies: number): number => {
      const crowd = crowdedWorkload(policies);
      const snapshot = few.with({ ...crowd, workloads: [crowd.workload] });
      const ask = (): void =>
        connect(crowd.workload, `spiffe://${principalAt(7)}`, contextOf(snapshot, crowd.workload));
      ask();
      return countWork(ask);
    };

    assert.equal(cost(500), cost(20));
  });

  it('grows with the logarithm of the values of a policy', () => {
    const cost = (values: number): number => {
      const long = longPolicyWorkload(values);
      const snapshot = few.with({ ...long, workloads: [long.workload] });
      const ask = (): void => connect(long.workload, spiffe, contextOf(snapshot, long.workload));
      ask();
      return countWork(ask);
    };

    assert.ok(cost(4_000) < 2 * cost(40));
  });

  it('of a change of one workload does not grow with those that are there', () => {
    const changed = { workloads: [{ ...server, healthy: false }] };
    const [small, big] = [few.with(mine), large.with(mine)];

    assert.equal(
      countWork(() => big.with(changed)),
      countWork(() => small.with(changed)),
    );
  });
});
