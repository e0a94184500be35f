import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/mesh/address.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { ZtunnelError } from '../../src/ztunnel/errors.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { resolveDestination, resolveWorkload } from '../../src/ztunnel/resolve-reference.ts';
import { explainWhy } from '../../src/ztunnel/why.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { policy, service, workload } from '../support/mesh-objects.ts';
import { anyText, brokenText, check, growth, thrownBy } from '../support/properties.ts';

const key = 'shop/cart.shop.svc.cluster.local';
const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
const cart = workload({
  name: 'cart-1',
  workloadName: 'cart',
  addresses: [ip('10.0.2.1')],
  services: new Map([[key, [{ servicePort: 80, targetPort: 8080 }]]]),
});
const sick = { ...cart, uid: 'sick', name: 'cart-2', addresses: [ip('10.0.2.2')], healthy: false };
const cartService = service({ name: 'cart' });
const strict = policy({
  name: 'strict',
  action: 'deny',
  rules: [{ clauses: [{ matches: [{ notPrincipals: [{ kind: 'presence' }] }] }] }],
});
const mesh: MeshUpdate = { workloads: [frontend, cart, sick], services: [cartService] };

function ask(update: MeshUpdate, destination: string, source: Workload = frontend) {
  const snapshot = MeshSnapshot.empty().with(mesh).with(update);
  const { address, found } = resolveDestination(snapshot, source, destination);
  const report = explainWhy({
    snapshot,
    source,
    originalDst: address,
    sourceFound: 'given',
    destinationFound: found,
    picker: new LoadBalancer({ clock: new FakeClock(), random: () => 0 }),
    hbonePort: 15008,
  });
  return { ...report, text: report.steps.map(({ step, outcome }) => `${step}: ${outcome}`).join('\n') };
}

describe('the question why', () => {
  it('says which endpoint is left out and for what', () => {
    const { allowed, text } = ask({}, 'cart:80');

    assert.ok(allowed);
    assert.match(text, /endpoint: not used: unhealthy/);
    assert.match(text, /endpoint: drawn from 1 usable/);
  });

  it('judges a source that is not enrolled as the plaintext it is', () => {
    const legacy = { ...frontend, tunnelProtocol: 'none' as const };

    const { allowed, text } = ask({ policies: [strict] }, 'cart:80', legacy);

    assert.equal(allowed, false);
    assert.match(text, /capture: not enrolled/);
    assert.match(text, /explicitly denied by: shop\/strict/);
    assert.ok(ask({ policies: [strict] }, 'cart:80').allowed);
  });

  it('says that a waypoint cannot be used, and on which object it was configured', () => {
    const hostname = 'waypoint.shop.svc.cluster.local';
    const destination = { kind: 'hostname' as const, namespace: 'shop', hostname };
    const { allowed, steps } = ask(
      { services: [{ ...cartService, waypoint: { destination, hbonePort: 15008 } }] },
      'cart:80',
    );

    assert.equal(allowed, false);
    const waypoint = steps.find(({ step }) => step === 'waypoint');
    assert.equal(waypoint?.object, `Service ${key}`);
    assert.equal(waypoint?.outcome, 'no usable instance');
  });

  it('says that an address is outside the mesh', () => {
    assert.match(ask({}, '1.1.1.1:443').text, /plain TCP to 1\.1\.1\.1:443: unknown destination/);
  });
});

describe('a reference', () => {
  const snapshot = MeshSnapshot.empty().with(mesh);
  const table: [string, string][] = [
    ['cart', '10.96.0.1:80'],
    ['cart:81', '10.96.0.1:81'],
    ['cart.shop', '10.96.0.1:80'],
    ['shop/cart:80', '10.96.0.1:80'],
    ['cart.shop.svc.cluster.local:80', '10.96.0.1:80'],
    ['shop/cart-1:9090', '10.0.2.1:9090'],
    ['cart-1:9090', '10.0.2.1:9090'],
    ['10.0.2.1:1', '10.0.2.1:1'],
    ['[fd00::1]:1', 'fd00::1:1'],
  ];
  for (const [text, expected] of table)
    it(`${text} means ${expected}`, () => {
      const { address } = resolveDestination(snapshot, frontend, text);

      assert.equal(`${address.ip}:${address.port}`, expected);
    });

  for (const text of ['', 'nowhere:80', 'cart-1', '10.0.2.1', 'cart:0', 'cart:99999'])
    it(`${JSON.stringify(text)} means nothing`, () => {
      assert.throws(() => resolveDestination(snapshot, frontend, text), { code: 'ERR_CULVERT_WHY_UNKNOWN' });
    });

  it('may be a bare name of another namespace, if only one has it', () => {
    const abroad = workload({ name: 'reports', namespace: 'data', addresses: [ip('10.0.3.1')] });
    const second = service({
      name: 'cart',
      namespace: 'mall',
      addresses: [{ network: '', ip: ip('10.96.0.9') }],
    });

    assert.equal(resolveDestination(snapshot, abroad, 'cart:80').address.ip, '10.96.0.1');
    assert.throws(() => resolveDestination(snapshot.with({ services: [second] }), abroad, 'cart:80'), {
      code: 'ERR_CULVERT_WHY_UNKNOWN',
    });
  });

  it('finds a workload by uid, address, name and owner', () => {
    for (const text of [cart.uid, '10.0.2.1', 'shop/cart-1', 'cart-1', 'shop/cart'])
      assert.equal(resolveWorkload(snapshot, '', text).workload, cart, text);
  });

  it('is not guessed between two namespaces', () => {
    const other = snapshot.with({ workloads: [workload({ name: 'frontend', namespace: 'other' })] });

    assert.throws(() => resolveWorkload(other, '', 'frontend'), { code: 'ERR_CULVERT_WHY_UNKNOWN' });
  });
});

describe('a reference that somebody asks about', () => {
  const snapshot = MeshSnapshot.empty().with(mesh);

  it('is found, or unknown with a sentence', () => {
    const written = fc.constantFrom(
      'cart:80',
      'shop/cart:80',
      '10.0.2.1:80',
      '[fd00::1]:80',
      'shop/cart-1',
      cart.uid,
    );
    check(
      fc.property(fc.oneof(written, brokenText(written), anyText), (text) => {
        for (const act of [
          (): unknown => resolveDestination(snapshot, frontend, text),
          (): unknown => resolveWorkload(snapshot, '', text),
        ]) {
          const error = thrownBy(act);
          assert.ok(error === undefined || error instanceof ZtunnelError, String(error));
        }
      }),
      500,
    );
  });

  it('with more parts than a name has is unknown', () => {
    assert.throws(() => resolveWorkload(snapshot, '', 'shop/cart-1/other'), {
      code: 'ERR_CULVERT_WHY_UNKNOWN',
    });
  });

  for (const unit of ['a', ':', '1', '[', '/', '.'])
    it(`takes its time in proportion: ${unit}`, () => {
      const read = (text: string): unknown => thrownBy(() => resolveDestination(snapshot, frontend, text));

      assert.ok(growth(2_000, (n) => `${unit.repeat(n)}:x`, read) < 24);
    });
});
