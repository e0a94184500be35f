import assert from 'node:assert/strict';
import { formatIdentity, parseIdentity, principalOf } from '../../src/mesh/identity.ts';

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
    `spiffe://cluster.local/ns/shop/sa/${'a'.repeat(2048)}`,
  ]) {
    it(`${uri.slice(0, 60)} is none`, () => assert.equal(parseIdentity(uri), undefined));
  }
});
