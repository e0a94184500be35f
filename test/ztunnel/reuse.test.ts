// Which answers the engine may give again, and what becomes of the connections that it lets in by them.
import assert from 'node:assert/strict';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { decideConnect } from '../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { Reuse } from '../../src/ztunnel/reuse.ts';
import { connectEvent, outboundEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';

const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });

function carts(count: number): readonly Workload[] {
  return Array.from({ length: count }, (_, i) =>
    workload({
      name: `cart-${i}`,
      addresses: [ip(`10.0.2.${i + 1}`)],
      capacity: i + 1,
      services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
    }),
  );
}

function contextOf(source: Workload, endpoints: readonly Workload[], affinityMs?: number) {
  const loadBalancing = { mode: 'any' as const, scopes: [], allowUnhealthy: false };
  const cart = service({
    name: 'cart',
    loadBalancing: {
      ...loadBalancing,
      ...(affinityMs !== undefined && { clientIpAffinityMs: affinityMs }),
    },
  });
  return {
    snapshot: MeshSnapshot.empty().with({ workloads: [frontend, ...endpoints], services: [cart] }),
    workload: source,
    picker: new LoadBalancer({ clock: new FakeClock(), random: () => 0 }),
    hasIdentity: () => true,
    hbonePort: 15008,
    keepSourceAddress: true,
    nowMs: 1,
  };
}

const toService = outboundEvent(1, 'p', '10.0.1.1:40000', '10.96.0.1:80');

describe('an answer about an outbound connection', () => {
  it('may be given again at once where there is nothing to choose', () => {
    const { reuse } = new Reuse().decideOutbound(
      contextOf(frontend, carts(2)),
      outboundEvent(1, 'p', '10.0.1.1:40000', '10.0.2.2:8080'),
    );

    assert.equal(reuse?.epoch, 1);
    assert.deepEqual(
      reuse.choices.map(({ weight, decision }) => [weight, decision.authority]),
      [[1, '10.0.2.2:8080']],
    );
  });

  it('holds every endpoint with its weight once it is asked for a second time', () => {
    const reuse = new Reuse();
    const context = contextOf(frontend, carts(3));

    assert.equal(reuse.decideOutbound(context, toService).reuse, undefined);
    const again = reuse.decideOutbound(context, { ...toService, id: 2 });

    assert.deepEqual(
      again.reuse?.choices.map(({ weight, decision }) => [weight, decision.authority]),
      [
        [1, '10.0.2.1:8080'],
        [2, '10.0.2.2:8080'],
        [3, '10.0.2.3:8080'],
      ],
    );
  });

  for (const [why, context] of [
    ['the client has to come back to the same endpoint', contextOf(frontend, carts(3), 60_000)],
    ['there are too many endpoints', contextOf(frontend, carts(33))],
    ['there is no endpoint', contextOf(frontend, [])],
  ] as const)
    it(`is asked for each time where ${why}`, () => {
      const reuse = new Reuse();

      assert.equal(reuse.decideOutbound(context, toService).reuse, undefined);
      assert.equal(reuse.decideOutbound(context, toService).reuse, undefined);
    });

  it('is given to be kept once in an epoch', () => {
    const reuse = new Reuse();
    const context = contextOf(frontend, carts(1));

    const kept = [1, 2, 3].map(
      (id) => reuse.decideOutbound(context, { ...toService, id }).reuse !== undefined,
    );

    assert.deepEqual(kept, [true, false, false]);
  });

  it('that leaves the mesh is asked for each time', () => {
    const outside = outboundEvent(1, 'p', '10.0.1.1:40000', '1.1.1.1:443');

    const { decision, reuse } = new Reuse().decideOutbound(contextOf(frontend, []), outside);

    assert.equal(decision.kind, 'plain');
    assert.equal(reuse, undefined);
  });

  it('becomes the record of a connection that was let in by it', () => {
    const reuse = new Reuse();
    const endpoints = carts(3);
    const context = contextOf(frontend, endpoints);
    reuse.decideOutbound(context, toService);
    const ticket = reuse.decideOutbound(context, toService).reuse?.ticket ?? 0;
    const later = outboundEvent(9, 'p', '10.0.1.1:41234', '10.96.0.1:80');

    const made = reuse.outbound(later, { ticket, choice: 2 }, 777);

    assert.equal(made?.stale, false);
    const { connection } = made;
    assert.deepEqual([connection.id, connection.openedMs], [9, 777]);
    assert.equal(connection.source.address.port, 41234);
    assert.equal(connection.destination.workload, endpoints[2]);
    assert.equal(connection.traceId, later.trace.slice(0, 32));
  });

  it('is known as stale in the next epoch, and an unknown ticket is nothing', () => {
    const reuse = new Reuse();
    const context = contextOf(frontend, carts(1));
    const ticket = reuse.decideOutbound(context, toService).reuse?.ticket ?? 0;

    assert.equal(reuse.advance(), 2);

    assert.equal(reuse.outbound(toService, { ticket, choice: 0 }, 1)?.stale, true);
    assert.equal(reuse.outbound(toService, { ticket: ticket + 1, choice: 0 }, 1), undefined);
    assert.equal(reuse.outbound(toService, { ticket, choice: 5 }, 1), undefined);
    assert.equal(reuse.decideOutbound(context, toService).reuse?.epoch, 2);
  });
});

describe('an answer about a CONNECT', () => {
  const [cart] = carts(1);
  const context = contextOf(cart ?? frontend, carts(1));
  const event = connectEvent({
    id: 1,
    podId: 'p',
    authority: '10.0.2.1:8080',
    peerIdentity: 'spiffe://cluster.local/ns/shop/sa/frontend',
  });

  it('may be given again to requests with the same authority', () => {
    const outcome = decideConnect(context, event);
    const reuse = new Reuse();

    const allowed = reuse.inbound(event, outcome);

    assert.equal(allowed?.authority, '10.0.2.1:8080');
    const later = {
      ...event,
      id: 5,
      headers: [
        ['traceparent', `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00`],
        ['forwarded', `for="${event.peer.ip}:4444"`],
      ] as const,
    };
    const made = reuse.connect(context.snapshot, later, { ticket: allowed.ticket, choice: 0 }, 99);
    assert.equal(made?.connection.traceId, 'c'.repeat(32));
    assert.deepEqual(made.connection.source.address, { ip: event.peer.ip, port: 4444 });
    assert.deepEqual(made.connection.authorization, outcome.connection.authorization);
    assert.deepEqual([made.connection.id, made.connection.openedMs], [5, 99]);
  });

  it('says nothing of the service that the next request was made for', () => {
    const reuse = new Reuse();
    const told = (host: string) => ({
      ...event,
      headers: [['forwarded', `for="10.0.1.1:1";host=${host}`]] as const,
    });
    const first = told('cart.shop.svc.cluster.local');
    const outcome = decideConnect(context, first);
    const ticket = reuse.inbound(first, outcome)?.ticket ?? 0;

    const made = reuse.connect(context.snapshot, told('other.shop.svc'), { ticket, choice: 0 }, 1);

    assert.equal(outcome.connection.service?.name, 'cart');
    assert.equal(made?.connection.service, undefined);
  });

  it('that is a refusal is asked for each time', () => {
    const denyAll = policy({ name: 'deny', action: 'deny', rules: [{ clauses: [] }] });
    const snapshot = context.snapshot.with({ policies: [denyAll] });

    const outcome = decideConnect({ ...context, snapshot }, event);

    assert.equal(outcome.decision.kind, 'reject');
    assert.equal(new Reuse().inbound(event, outcome), undefined);
  });
});
