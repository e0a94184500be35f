import assert from 'node:assert/strict';
import { cidr, ip, parseCidr } from '../../src/mesh/address.ts';
import type { PodSettings } from '../../src/mesh/pod-settings.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { decideConnect, decideOutbound, decidePlaintext } from '../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { connectEvent, outboundEvent, plaintextEvent } from '../support/engine-events.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';

const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
const frontendId = 'spiffe://cluster.local/ns/shop/sa/frontend';
const cart = workload({
  name: 'cart',
  addresses: [ip('10.0.2.1'), ip('fd00::2')],
  services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const mesh: MeshUpdate = { workloads: [frontend, cart], services: [service({ name: 'cart' })] };

function context(of: typeof cart, update: MeshUpdate = {}, hasIdentity = true) {
  return {
    snapshot: MeshSnapshot.empty().with(mesh).with(update),
    workload: of,
    picker: new LoadBalancer({ clock: new FakeClock(), random: () => 0 }),
    hasIdentity: () => hasIdentity,
    hbonePort: 15008,
    keepSourceAddress: true,
    nowMs: 1,
  };
}

describe('the decision about an outbound connection', () => {
  const event = outboundEvent(1, 'p', '10.0.1.1:40000', '10.96.0.1:80');

  it('is a tunnel that says who asks, from where and for what', () => {
    const { decision, connection } = decideOutbound(context(frontend), event);

    assert.ok(decision.kind === 'tunnel');
    assert.equal(decision.authority, '10.0.2.1:8080');
    assert.equal(decision.tlsIdentity, frontendId);
    const headers = new Map(decision.headers);
    assert.match(headers.get('baggage') ?? '', /k8s\.namespace\.name=shop/);
    assert.equal(headers.get('forwarded'), 'for="{client}";host=cart.shop.svc.cluster.local');
    assert.equal(headers.get('traceparent'), '00-{trace}-00');
    assert.match(connection.traceId ?? '', /^[0-9a-f]{32}$/);
    assert.equal(connection.security, 'mutual_tls');
    assert.equal(connection.destination.workload, cart);
  });

  it('is a refusal without a valid certificate of our own', () => {
    const { decision, connection } = decideOutbound(context(frontend, {}, false), event);

    assert.deepEqual(decision, { kind: 'refuse', reason: 'identity_error' });
    assert.match(connection.refusal?.message ?? '', /no valid certificate/);
  });

  it('to outside the mesh needs no certificate', () => {
    const outside = outboundEvent(1, 'p', '10.0.1.1:40000', '1.1.1.1:443');

    assert.equal(decideOutbound(context(frontend, {}, false), outside).decision.kind, 'plain');
  });
});

describe('the decision about a CONNECT', () => {
  const event = connectEvent({ id: 1, podId: 'p', authority: '10.0.2.1:8080', peerIdentity: frontendId });

  it('delivers to the pod and shows the client its own address', () => {
    const { decision, connection } = decideConnect(context(cart), event);

    assert.ok(decision.kind === 'deliver');
    assert.deepEqual(decision.to, { ip: '10.0.2.1', port: 8080 });
    assert.equal(decision.source, '10.0.1.1');
    assert.match(new Map(decision.headers).get('baggage') ?? '', /service\.name=cart/);
    assert.equal(connection.source.workload, frontend);
    assert.equal(connection.service?.name, 'cart');
  });

  it('is 401 where a policy denies, and names it', () => {
    const denyAll = policy({
      name: 'deny',
      action: 'deny',
      rules: [{ clauses: [{ matches: [{ destinationPorts: [8080] }] }] }],
    });

    const { decision, connection } = decideConnect(context(cart, { policies: [denyAll] }), event);

    assert.deepEqual(decision, { kind: 'reject', status: 401, reason: 'denied' });
    assert.equal(connection.policy, 'shop/deny');
    assert.match(connection.refusal?.message ?? '', /explicitly denied by: shop\/deny/);
  });

  it('asks the policies about the identity proven, not about the address', () => {
    const onlyFrontend = policy({
      name: 'allow',
      rules: [
        {
          clauses: [
            {
              matches: [{ principals: [{ kind: 'exact', value: 'cluster.local/ns/shop/sa/frontend' }] }],
            },
          ],
        },
      ],
    });
    const impostor = { ...event, peerIdentity: 'spiffe://cluster.local/ns/evil/sa/x' };
    const checked = context(cart, { policies: [onlyFrontend] });

    assert.equal(decideConnect(checked, event).decision.kind, 'deliver');
    assert.equal(decideConnect(checked, impostor).decision.kind, 'reject');
    assert.equal(decideConnect(checked, impostor).connection.source.workload, undefined);
  });

  it('is 401 for an identity that is not one of a workload', () => {
    const { decision } = decideConnect(context(cart), { ...event, peerIdentity: 'spiffe://cluster.local/x' });

    assert.deepEqual(decision, { kind: 'reject', status: 401, reason: 'denied' });
  });

  it('asks the policies about the target port, not the service port', () => {
    const onlyTarget = policy({
      name: 'allow',
      rules: [{ clauses: [{ matches: [{ destinationPorts: [8080] }] }] }],
    });
    const byName = { ...event, authority: 'cart.shop.svc.cluster.local:80' };

    assert.equal(decideConnect(context(cart, { policies: [onlyTarget] }), byName).decision.kind, 'deliver');
  });

  it('does not bind the application to an address of another family', () => {
    const crossing = { ...event, authority: '[fd00::2]:8080' };

    const { decision } = decideConnect(context(cart), crossing);

    assert.ok(decision.kind === 'deliver' && decision.source === undefined);
  });

  it('believes what an unknown peer says of itself for telemetry only', () => {
    const stranger = connectEvent({
      ...event,
      peer: { ip: ip('10.9.9.9'), port: 1 },
      headers: [
        ['baggage', 'k8s.namespace.name=elsewhere'],
        ['traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`],
        ['forwarded', 'for="10.9.9.9:4711"'],
      ],
    });

    const { connection } = decideConnect(context(cart), stranger);

    assert.equal(connection.source.baggage?.namespace, 'elsewhere');
    assert.equal(connection.traceId, 'a'.repeat(32));
    assert.equal(connection.source.address.port, 4711);
  });

  it('does not let a peer forge the address of another in its headers', () => {
    const forged = { ...event, headers: [['forwarded', 'for="10.7.7.7:1"']] as const };

    assert.equal(decideConnect(context(cart), forged).connection.source.address.ip, '10.0.1.1');
  });
});

describe('the decision about a connection without a tunnel', () => {
  const event = plaintextEvent(1, 'p', '10.0.1.1:40000', '10.0.2.1:8080');
  const strict = policy({
    name: 'strict',
    action: 'deny',
    rules: [{ clauses: [{ matches: [{ notPrincipals: [{ kind: 'presence' }] }] }] }],
  });

  it('delivers it where nothing forbids plaintext', () => {
    const { decision, connection } = decidePlaintext(context(cart), event);

    assert.equal(decision.kind, 'deliver');
    assert.equal(connection.source.identity, undefined);
    assert.equal(connection.source.workload, frontend);
  });

  it('refuses it under STRICT, which mutual TLS passes', () => {
    const checked = context(cart, { policies: [strict] });
    const tunnelled = connectEvent({
      id: 2,
      podId: 'p',
      authority: '10.0.2.1:8080',
      peerIdentity: frontendId,
    });

    assert.equal(decidePlaintext(checked, event).decision.kind, 'reject');
    assert.equal(decideConnect(checked, tunnelled).decision.kind, 'deliver');
  });

  it('is judged by its address where policies say so', () => {
    const block = parseCidr('10.0.1.0/24') ?? assert.fail();
    const byAddress = policy({ name: 'a', rules: [{ clauses: [{ matches: [{ sourceIps: [block] }] }] }] });
    const other = plaintextEvent(2, 'p', '10.0.3.1:40000', '10.0.2.1:8080');
    const checked = context(cart, { policies: [byAddress] });

    assert.equal(decidePlaintext(checked, event).decision.kind, 'deliver');
    assert.equal(decidePlaintext(checked, other).decision.kind, 'reject');
  });
});

describe("the client's address towards the application", () => {
  const event = connectEvent({
    id: 1,
    podId: 'p',
    authority: '10.0.2.1:8080',
    peerIdentity: frontendId,
    peer: { ip: ip('10.0.1.1'), port: 50_000 },
    local: { ip: ip('10.0.2.1'), port: 15008 },
  });
  const settings: PodSettings = {
    uid: cart.uid,
    namespace: cart.namespace,
    name: cart.name,
    serviceAccount: cart.serviceAccount,
    trustDomain: cart.trustDomain,
    enrolled: true,
    probePorts: [],
    nodeAddresses: [],
    exclusions: noExclusions,
  };
  const source = (overrides: Partial<PodSettings>): string | undefined => {
    const { decision } = decideConnect({ ...context(cart), settings: { ...settings, ...overrides } }, event);
    assert.ok(decision.kind === 'deliver');
    return decision.source;
  };

  it('is shown', () => assert.equal(source({}), '10.0.1.1'));

  for (const [situation, overrides] of [
    ['its block is excluded', { exclusions: { ...noExclusions, inboundCidrs: [cidr(ip('10.0.1.0'), 24)] } }],
    ['the port is excluded', { exclusions: { ...noExclusions, inboundPorts: [8080] } }],
    ['a node probes the port', { probePorts: [8080], nodeAddresses: [ip('10.0.1.1')] }],
    ['the pod is released', { enrolled: false }],
  ] as const) {
    it(`is hidden where answers would leave directly: ${situation}`, () =>
      assert.equal(source(overrides), undefined));
  }
});
