import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { routeConnect, routePlaintext } from '../../src/ztunnel/route-inbound.ts';
import { service, workload } from '../support/mesh-objects.ts';
import { anyText, brokenText, check, growth } from '../support/properties.ts';

const cart = workload({
  name: 'cart',
  addresses: [ip('10.0.2.1'), ip('fd00::1')],
  services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
});
const snapshot = MeshSnapshot.empty().with({
  workloads: [cart],
  services: [service({ name: 'cart' }), service({ name: 'other' })],
});

function connect(authority: string, local = ip('10.0.2.1')): string {
  const route = routeConnect({
    snapshot,
    workload: cart,
    local: { ip: local, port: 15008 },
    authority,
    hbonePort: 15008,
  });
  return route.kind === 'deliver' ? `${route.to.ip} ${route.to.port}` : `${route.status} ${route.reason}`;
}

describe('the authority of a CONNECT', () => {
  const table: [string, string][] = [
    ['10.0.2.1:8080', '10.0.2.1 8080'],
    ['[fd00::1]:8080', 'fd00::1 8080'],
    ['[::ffff:10.0.2.1]:8080', '10.0.2.1 8080'],
    ['10.0.2.1:15001', '10.0.2.1 15001'],
    ['10.0.2.1:15008', '503 self_call'],
    ['10.0.2.2:8080', '400 bad_request'],
    ['127.0.0.1:8080', '400 bad_request'],
    ['[::1]:8080', '400 bad_request'],
    ['[::ffff:127.0.0.1]:8080', '400 bad_request'],
    ['0.0.0.0:8080', '400 bad_request'],
    ['169.254.169.254:80', '400 bad_request'],
    ['10.0.2.1', '400 bad_request'],
    ['10.0.2.1:0', '400 bad_request'],
    ['10.0.2.1:65536', '400 bad_request'],
    ['10.0.2.1:080:1', '400 bad_request'],
    ['user@10.0.2.1:8080', '400 bad_request'],
    ['10.2.1:8080', '400 bad_request'],
    ['', '400 bad_request'],
    ['cart.shop.svc.cluster.local:80', '10.0.2.1 8080'],
    ['CART.shop.svc.cluster.local:80', '10.0.2.1 8080'],
    ['cart.shop.svc.cluster.local:81', '503 no_route'],
    ['cart.shop.svc.cluster.local', '400 bad_request'],
    ['other.shop.svc.cluster.local:80', '503 no_route'],
    ['nowhere.example:80', '503 no_route'],
    ['localhost:8080', '503 no_route'],
  ];
  for (const [authority, expected] of table)
    it(`${JSON.stringify(authority)} -> ${expected}`, () => assert.equal(connect(authority), expected));

  it('may be a second address of the pod, if the tunnel arrived on it', () => {
    assert.equal(connect('10.0.7.7:80', ip('10.0.7.7')), '10.0.7.7 80');
  });

  it('keeps the family of the tunnel for a host name', () => {
    assert.equal(connect('cart.shop.svc.cluster.local:80', ip('fd00::1')), 'fd00::1 8080');
  });

  it('never leads anywhere but to the pod, whatever it says', () => {
    const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    const text = fc.oneof(
      fc.string({ maxLength: 40 }),
      octets.map((parts) => `${parts.join('.')}:80`),
      fc.ipV6().map((address) => `[${address}]:80`),
      fc.webAuthority({ withPort: true, withUserInfo: true }),
      anyText,
      brokenText(fc.constantFrom(...table.map(([authority]) => authority))),
    );
    check(
      fc.property(text, (authority) => {
        assert.match(connect(authority), /^(400|503) |^10\.0\.2\.1 |^fd00::1 /);
      }),
      1_000,
    );
  });
});

describe('a long authority', () => {
  for (const unit of ['a', '.', ':', '1.', 'a-', '[', '0', '1:'])
    it(`of ${JSON.stringify(unit)} takes its time in proportion`, () => {
      assert.ok(growth(20_000, (n) => `${unit.repeat(n)}:80`, connect) < 24);
    });
});

describe('a connection without a tunnel', () => {
  const client = { ip: ip('10.0.1.1'), port: 40000 };
  const originalDst = { ip: ip('10.0.2.1'), port: 15001 };
  const query = { workload: cart, client, originalDst, hbonePort: 15008 };

  it('is delivered where it was dialled', () => {
    assert.deepEqual(routePlaintext(query), { kind: 'deliver', destination: cart, to: originalDst });
  });

  it('is never delivered to loopback', () => {
    const loopback = { ip: ip('127.0.0.1'), port: 80 };

    assert.equal(routePlaintext({ ...query, originalDst: loopback }).kind, 'reject');
  });

  it('by the pod to its own proxy is refused', () => {
    const route = routePlaintext({ ...query, client: { ip: ip('10.0.2.1'), port: 40000 } });

    assert.equal(route.kind === 'reject' && route.reason, 'self_call');
  });
});
