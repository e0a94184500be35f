import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  filledTemplates,
  formatBaggage,
  forwardedTemplate,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
  traceparentTemplate,
} from '../../src/ztunnel/headers.ts';
import { workload } from '../support/mesh-objects.ts';
import { anyText, brokenText, check, growth } from '../support/properties.ts';

describe('the baggage header', () => {
  it('says what the peer needs for its metrics', () => {
    const source = workload({
      name: 'cart-1',
      workloadName: 'cart',
      workloadType: 'deployment',
      locality: { region: 'r', zone: 'z', subzone: '' },
    });

    assert.equal(
      formatBaggage(source),
      'k8s.cluster.name=test,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart-1,service.version=latest,cloud.region=r,cloud.availability_zone=z',
    );
    assert.deepEqual(parseBaggage(formatBaggage(source)), {
      cluster: 'test',
      namespace: 'shop',
      workloadType: 'deployment',
      workloadName: 'cart',
      canonicalName: 'cart-1',
      canonicalRevision: 'latest',
      region: 'r',
      zone: 'z',
    });
  });

  it('is read with unknown keys, properties and white space in it', () => {
    assert.deepEqual(parseBaggage('x=1, k8s.namespace.name = shop;p=1 ,,=,service.name'), {
      namespace: 'shop',
    });
  });

  it('leaves out what is not encoded as it should be', () => {
    assert.deepEqual(parseBaggage('k8s.namespace.name=%E0%A4%A,service.name=a'), { canonicalName: 'a' });
  });

  it('tells whatever the source is called', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((text) => text.isWellFormed());
    const type = fc.constantFrom(...(['deployment', 'pod', 'job', 'cronjob'] as const));
    check(
      fc.property(name, name, name, type, (namespace, workloadName, zone, workloadType) => {
        const source = workload({
          name: 'x',
          namespace,
          workloadName,
          workloadType,
          locality: { region: '', zone, subzone: '' },
        });
        const told = parseBaggage(formatBaggage(source));
        assert.deepEqual(
          [told.namespace, told.workloadName, told.workloadType, told.zone],
          [namespace, workloadName, workloadType, zone],
        );
      }),
    );
  });
});

describe('the headers of a CONNECT', () => {
  const good = fc.constantFrom(
    'k8s.cluster.name=c,k8s.namespace.name=n,k8s.pod.name=p,service.name=s,cloud.region=r%20r;p=1',
    'for="[fd00::1]:4711";host=cart.shop.svc, for=10.0.0.1:1',
    `00-${'1a'.repeat(16)}-${'b2'.repeat(8)}-01`,
  );

  it('are read as far as they can be, and never fail', () => {
    check(
      fc.property(fc.oneof(good, anyText, brokenText(good)), (text) => {
        for (const value of Object.values(parseBaggage(text))) assert.notEqual(value, '');
        const { source, host } = parseForwarded(text);
        // What was read can be written, and is then read as the same.
        if (source !== undefined) {
          const [[, written] = []] = filledTemplates([['forwarded', forwardedTemplate(host)]], source, '');
          assert.deepEqual(parseForwarded(written ?? '').source, source);
        }
        const trace = parseTraceparent(text);
        if (trace !== undefined) assert.equal(parseTraceparent(trace), text);
      }),
      500,
    );
  });

  it('keep a peer’s words out of the names of our own', () => {
    for (const key of ['__proto__', 'constructor', 'toString'])
      assert.deepEqual(parseBaggage(`${key}=x,k8s.${key}.name=y`), {});
  });

  for (const unit of ['%', ',', ';', '=', '"', 'k8s.pod.name=%41,', 'for="', ' '])
    it(`take no more time the longer they are: ${JSON.stringify(unit)}`, () => {
      const read = (text: string): void =>
        void [parseBaggage(text), parseForwarded(text), parseTraceparent(text)];

      assert.ok(growth(20_000, (n) => unit.repeat(n), read) < 8);
    });
});

describe('the forwarded header', () => {
  it('carries an IPv6 source in brackets and the host', () => {
    const text = forwardedTemplate('cart.shop.svc').replace('{client}', '[fd00::1]:4711');

    assert.equal(text, 'for="[fd00::1]:4711";host=cart.shop.svc');
    assert.deepEqual(parseForwarded(text), { source: { ip: 'fd00::1', port: 4711 }, host: 'cart.shop.svc' });
  });

  it('is read up to the first proxy, and obfuscated nodes are skipped', () => {
    assert.deepEqual(parseForwarded('For=_hidden;host=a, for=10.0.0.1:1'), { host: 'a' });
  });
});

describe('the traceparent header', () => {
  it('is well-formed with the ids that the engine draws', () => {
    const header = traceparentTemplate.replace('{trace}', `${'4f'.repeat(16)}-${'a1'.repeat(8)}`);

    assert.equal(parseTraceparent(header), header);
  });

  it('is not accepted with ids of zeros', () => {
    assert.equal(parseTraceparent(`00-${'0'.repeat(32)}-${'1'.repeat(16)}-00`), undefined);
  });
});
