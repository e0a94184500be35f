import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip } from '../../src/mesh/address.ts';
import {
  formatBaggage,
  formatForwarded,
  newTraceparent,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
} from '../../src/ztunnel/headers.ts';
import { workload } from '../support/mesh-objects.ts';

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

  it('never fails on what a peer sends', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseBaggage(text);
        parseForwarded(text);
        parseTraceparent(text);
      }),
    );
  });
});

describe('the forwarded header', () => {
  it('carries an IPv6 source in brackets and the host', () => {
    const text = formatForwarded({ ip: ip('fd00::1'), port: 4711 }, 'cart.shop.svc');

    assert.equal(text, 'for="[fd00::1]:4711";host=cart.shop.svc');
    assert.deepEqual(parseForwarded(text), { source: { ip: 'fd00::1', port: 4711 }, host: 'cart.shop.svc' });
  });

  it('is read up to the first proxy, and obfuscated nodes are skipped', () => {
    assert.deepEqual(parseForwarded('For=_hidden;host=a, for=10.0.0.1:1'), { host: 'a' });
  });
});

describe('the traceparent header', () => {
  it('is new for each connection and well-formed', () => {
    const ids = new Set(Array.from({ length: 200 }, newTraceparent));

    assert.equal(ids.size, 200);
    for (const id of ids) assert.equal(parseTraceparent(id), id);
  });

  it('is not accepted with ids of zeros', () => {
    assert.equal(parseTraceparent(`00-${'0'.repeat(32)}-${'1'.repeat(16)}-00`), undefined);
  });
});
