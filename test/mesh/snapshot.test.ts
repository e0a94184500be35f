import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';

const cart = workload({ name: 'cart', addresses: [ip('10.0.0.1'), ip('fd00::1')] });

describe('a mesh snapshot', () => {
  it('finds a workload by each of its addresses', () => {
    const mesh = MeshSnapshot.empty().with({ workloads: [cart] });

    assert.equal(mesh.workloadAt('', ip('10.0.0.1')), cart);
    assert.equal(mesh.workloadAt('', ip('fd00::1')), cart);
    assert.equal(mesh.workloadAt('other', ip('10.0.0.1')), undefined);
  });

  it('stays as it was when the next one is made', () => {
    const before = MeshSnapshot.empty().with({ workloads: [cart] });

    const after = before.with({ removedWorkloads: [cart.uid] });

    assert.equal(before.workloadAt('', ip('10.0.0.1')), cart);
    assert.equal(after.workloadAt('', ip('10.0.0.1')), undefined);
    assert.equal(after.generation, before.generation + 1);
  });

  it('forgets the address a workload no longer has', () => {
    const mesh = MeshSnapshot.empty()
      .with({ workloads: [cart] })
      .with({ workloads: [{ ...cart, addresses: [ip('10.0.0.9')] }] });

    assert.equal(mesh.workloadAt('', ip('10.0.0.1')), undefined);
    assert.equal(mesh.workloadAt('', ip('10.0.0.9'))?.name, 'cart');
  });

  it('gives an address that two pods claim to neither', () => {
    const thief = workload({ name: 'thief', addresses: [ip('10.0.0.1')] });

    const mesh = MeshSnapshot.empty().with({ workloads: [cart, thief] });

    assert.equal(mesh.workloadAt('', ip('10.0.0.1')), undefined);
    assert.equal(mesh.workloadsAt('', ip('10.0.0.1')).length, 2);
  });

  it('prefers a pod of its own network namespace to one of the host', () => {
    const agent = workload({ name: 'agent', addresses: [ip('10.0.0.1')], hostNetwork: true });

    const mesh = MeshSnapshot.empty().with({ workloads: [agent, cart] });

    assert.equal(mesh.workloadAt('', ip('10.0.0.1'))?.name, 'cart');
  });

  it('finds a service by the longest block that holds the address', () => {
    const wide = service({ name: 'wide', addresses: [{ network: '', ip: ip('10.0.0.0'), length: 8 }] });
    const narrow = service({ name: 'narrow', addresses: [{ network: '', ip: ip('10.96.0.0'), length: 16 }] });
    const exact = service({ name: 'exact', addresses: [{ network: '', ip: ip('10.96.0.7') }] });

    const mesh = MeshSnapshot.empty().with({ services: [wide, narrow, exact] });

    assert.equal(mesh.serviceAt('', ip('10.96.0.7'))?.name, 'exact');
    assert.equal(mesh.serviceAt('', ip('10.96.3.3'))?.name, 'narrow');
    assert.equal(mesh.serviceAt('', ip('10.1.1.1'))?.name, 'wide');
    assert.equal(mesh.serviceAt('', ip('fd00::1')), undefined);
  });

  it('lists the endpoints of a service and follows their moves', () => {
    const ports = [{ servicePort: 80, targetPort: 8080 }];
    const member = { ...cart, services: new Map([['shop/cart.shop.svc.cluster.local', ports]]) };
    const mesh = MeshSnapshot.empty().with({ workloads: [member] });

    assert.deepEqual(mesh.endpointsOf('shop/cart.shop.svc.cluster.local'), [member]);
    assert.deepEqual(mesh.with({ workloads: [cart] }).endpointsOf('shop/cart.shop.svc.cluster.local'), []);
  });

  it('prefers the service of the asking namespace among equal host names', () => {
    const a = service({ name: 'db', namespace: 'a', hostname: 'db.example' });
    const b = service({ name: 'db', namespace: 'b', hostname: 'db.example' });
    const mesh = MeshSnapshot.empty().with({ services: [a, b] });

    assert.deepEqual(
      mesh.servicesNamed('db.example', 'b').map((found) => found.namespace),
      ['b', 'a'],
    );
    assert.deepEqual(
      mesh.servicesNamed('db.example', 'c').map((found) => found.namespace),
      ['a', 'b'],
    );
  });

  it('applies global policies, those of the namespace, and those the workload names', () => {
    const policies = [
      policy({ name: 'everywhere', namespace: 'system', scope: 'global' }),
      policy({ name: 'here' }),
      policy({ name: 'mine', scope: 'workload' }),
      policy({ name: 'not-mine', scope: 'workload' }),
      policy({ name: 'elsewhere', namespace: 'other' }),
    ];
    const chosen = { ...cart, policies: ['shop/mine', 'shop/gone'] };
    const mesh = MeshSnapshot.empty().with({ workloads: [chosen], policies });

    assert.deepEqual(
      mesh
        .policiesFor(chosen)
        .map((found) => found.name)
        .sort(),
      ['everywhere', 'here', 'mine'],
    );
  });

  it('is the same by whatever steps it was reached', () => {
    const names = fc.array(
      fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), host: fc.nat(3), gone: fc.boolean() }),
    );
    fc.assert(
      fc.property(names, (steps) => {
        let stepwise = MeshSnapshot.empty();
        const expected = new Map<string, ReturnType<typeof workload>>();
        for (const step of steps) {
          const made = workload({ name: step.name, addresses: [ip(`10.0.0.${step.host}`)] });
          stepwise = stepwise.with(step.gone ? { removedWorkloads: [made.uid] } : { workloads: [made] });
          if (step.gone) expected.delete(made.uid);
          else expected.set(made.uid, made);
        }
        const atOnce = MeshSnapshot.empty().with({ workloads: [...expected.values()] });
        for (let host = 0; host <= 3; host += 1) {
          const uids = (mesh: MeshSnapshot): string[] =>
            mesh
              .workloadsAt('', ip(`10.0.0.${host}`))
              .map((found) => found.uid)
              .sort();
          assert.deepEqual(uids(stepwise), uids(atOnce));
        }
        assert.equal(stepwise.workloads.size, expected.size);
      }),
    );
  });
});
