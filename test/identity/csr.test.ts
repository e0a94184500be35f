import assert from 'node:assert/strict';
import { createSigningRequest, readSigningRequest } from '../../src/identity/csr.ts';
import { IdentityError } from '../../src/identity/errors.ts';
import { generateKey } from '../../src/identity/keys.ts';
import type { KeyPair } from '../../src/identity/keys.ts';
import { fromPem, toPem } from '../../src/identity/pem.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';

describe('a signing request', () => {
  let key: KeyPair;
  let der: Buffer;

  before(async () => {
    key = await generateKey();
    der = fromPem('CERTIFICATE REQUEST', createSigningRequest({ uris: [cart] }, key))[0] ?? Buffer.alloc(0);
  });

  it('carries its names and key', () => {
    const read = readSigningRequest(createSigningRequest({ uris: [cart], dnsNames: ['x'] }, key));

    assert.deepEqual(read.names, { uris: [cart], dnsNames: ['x'], ips: [], others: 0 });
    assert.ok(read.publicKey.equals(key.publicKey));
  });

  it('is refused, or says the same, whichever bit of it is changed', () => {
    let same = 0;
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const changed = Buffer.from(der);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        const read = readSigningRequest(toPem('CERTIFICATE REQUEST', changed));
        assert.deepEqual(read.names.uris, [cart], `bit ${bit}`);
        assert.ok(read.publicKey.equals(key.publicKey), `bit ${bit}`);
        same += 1;
      } catch (error) {
        assert.ok(error instanceof IdentityError, `bit ${bit}: ${String(error)}`);
        assert.equal(error.code, 'ERR_CULVERT_CSR');
      }
    }
    // Only tags outside what is signed may change unnoticed.
    assert.ok(same < 64, `${same} changes went unnoticed`);
  });

  it('is refused wherever it is cut off, and with bytes after its end', () => {
    for (let length = 1; length < der.length; length += 1)
      assert.throws(() => readSigningRequest(toPem('CERTIFICATE REQUEST', der.subarray(0, length))), {
        code: 'ERR_CULVERT_CSR',
      });
    const longer = toPem('CERTIFICATE REQUEST', Buffer.concat([der, Buffer.of(0)]));
    assert.throws(() => readSigningRequest(longer), { code: 'ERR_CULVERT_CSR' });
  });

  for (const [what, text] of [
    ['empty', ''],
    ['without PEM armour', 'MIIB'],
    ['of an absurd length', 'x'.repeat(1_000_000)],
    ['of another label', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
  ] as const)
    it(`is refused when ${what}`, () => {
      assert.throws(() => readSigningRequest(text), { code: 'ERR_CULVERT_CSR' });
    });

  it('is refused when two are sent at once', () => {
    const pem = toPem('CERTIFICATE REQUEST', der);
    assert.throws(() => readSigningRequest(pem + pem), { code: 'ERR_CULVERT_CSR' });
  });
});
