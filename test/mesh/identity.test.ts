import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatIdentity, parseIdentity, principalOf } from '../../src/mesh/identity.ts';
import { anyText, brokenText, check, growth } from '../support/properties.ts';

describe('an identity', () => {
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };

  it('survives its URI', () => assert.deepEqual(parseIdentity(formatIdentity(identity)), identity));
  it('is compared without the scheme', () =>
    assert.equal(principalOf(identity), 'cluster.local/ns/shop/sa/cart'));

  for (const uri of [
    'https://cluster.local/ns/shop/sa/cart',
    'spiffe://cluster.local/ns/shop',
    'spiffe://cluster.local/ns/shop/sa/cart/extra',
    'spiffe:///ns/shop/sa/cart',
    'spiffe://cluster.local/ns//sa/cart',
    'spiffe://cluster.local/ns/shop/sa/cart?x',
    'spiffe://cluster.local/ns/shop/sa/cart\n',
    'spiffe://cluster.local/ns/shop/sa/cart\0.example',
    'spiffe://cluster.local/ns/shop/sa/\x1b[2Jcart',
    'spiffe://cluster.local/ns/shop/sa/c\u00e4rt',
    `spiffe://cluster.local/ns/shop/sa/${'a'.repeat(2048)}`,
  ]) {
    it(`${JSON.stringify(uri.slice(0, 60))} is none`, () => assert.equal(parseIdentity(uri), undefined));
  }

  it('is its URI and nothing else is', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/);
    const good = fc.record({ trustDomain: part, namespace: part, serviceAccount: part });
    const written = good.map(formatIdentity);
    check(
      fc.property(good, (each) => assert.deepEqual({ ...parseIdentity(formatIdentity(each)) }, { ...each })),
    );
    check(
      fc.property(fc.oneof(anyText, brokenText(written)), (uri) => {
        const read = parseIdentity(uri);
        if (read !== undefined) assert.equal(formatIdentity(read), uri);
      }),
      500,
    );
  });

  it('that is long takes its time in proportion', () => {
    assert.ok(growth(100, (n) => `spiffe://a/ns/${'a/sa/'.repeat(n)}`, parseIdentity) < 24);
  });
});
