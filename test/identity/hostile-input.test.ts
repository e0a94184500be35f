// Certificates, chains and requests as a peer or a wrong certificate service might send them.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readCertificate } from '../../src/identity/certificate.ts';
import { readSigningRequest } from '../../src/identity/csr.ts';
import { IdentityError } from '../../src/identity/errors.ts';
import { acceptChain } from '../../src/identity/issued-certificate.ts';
import { decodeAltNames, encodeAltNames } from '../../src/identity/names.ts';
import { fromPem, splitCertificates, toPem } from '../../src/identity/pem.ts';
import { findChainFault, readTrustBundle } from '../../src/identity/trust-bundle.ts';
import { ipFromBytes } from '../../src/mesh/address.ts';
import type { TestLeaf } from '../support/certificates.ts';
import { TestAuthority } from '../support/certificates.ts';
import {
  anyText,
  brokenBytes,
  brokenText,
  check,
  growth,
  propertyTimeoutMs,
  thrownBy,
} from '../support/properties.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';

function onlyOurs(act: () => unknown): void {
  const error = thrownBy(act);
  assert.ok(error === undefined || error instanceof IdentityError, String(error));
}

describe('a certificate with bytes changed', () => {
  let authority: TestAuthority;
  let leaf: TestLeaf;
  let der: Buffer;
  let rootDer: Buffer;
  before(async () => {
    authority = await TestAuthority.create({ intermediate: true });
    leaf = await authority.issue(cart);
    der = fromPem('CERTIFICATE', leaf.certificatePem)[0] ?? Buffer.alloc(0);
    rootDer = fromPem('CERTIFICATE', authority.rootPem)[0] ?? Buffer.alloc(0);
  });

  const pemOf = (bytes: Uint8Array): string => toPem('CERTIFICATE', bytes);

  it('is read with a validity that is one, or refused', () => {
    check(
      fc.property(brokenBytes(fc.constant(der)), (bytes) => {
        onlyOurs(() => {
          const { notBeforeMs, notAfterMs } = readCertificate(pemOf(bytes));
          assert.ok(Number.isFinite(notBeforeMs) && Number.isFinite(notAfterMs));
        });
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());

  it('is refused when its end of validity is no time: nothing would ever find it expired', () => {
    // Two UTCTimes, one after the other: a Z of their own may be anywhere in the key and the signature.
    const validity = /\x17\x0d\d{12}Z\x17\x0d\d{12}Z/.exec(rootDer.toString('latin1'));
    assert.ok(validity !== null);
    for (const at of [5, 20]) {
      const changed = Buffer.from(rootDer);
      changed.write('x', validity.index + at, 'latin1');

      assert.throws(() => readCertificate(pemOf(changed)), {
        code: 'ERR_CULVERT_CERTIFICATE',
        message: /its validity is not a time/,
      });
    }
  });

  it('is refused when its key cannot be read', () => {
    const changed = Buffer.from(der);
    // The curve's name: P-256 becomes one that does not exist.
    const curve = Buffer.from('2a8648ce3d030107', 'hex');
    changed[changed.indexOf(curve) + curve.length - 1] = 0x7f;

    assert.throws(() => readCertificate(pemOf(changed)), {
      code: 'ERR_CULVERT_CERTIFICATE',
      message: /its key cannot be read/,
    });
  });

  it('is no root of trust, or one that fails no comparison', () => {
    const chain = splitCertificates(leaf.chainPem).map(readCertificate);
    check(
      fc.property(brokenBytes(fc.constant(rootDer)), (bytes) => {
        onlyOurs(() => findChainFault(chain, readTrustBundle(pemOf(bytes)), Date.now()));
      }),
      300,
    );
  }).timeout(propertyTimeoutMs());

  it('in a certificate service’s answer makes it the same answer or none', () => {
    check(
      fc.property(brokenBytes(fc.constant(der)), fc.nat(1), (bytes, where) => {
        const chain = [leaf.chainPem, authority.rootPem];
        chain[where] =
          where === 0 ? pemOf(bytes) + leaf.chainPem.slice(leaf.certificatePem.length) : pemOf(bytes);
        onlyOurs(() => {
          const accepted = acceptChain(cart, chain, leaf.key, Date.now());
          assert.equal(accepted.serial, readCertificate(leaf.certificatePem).serial);
        });
      }),
      300,
    );
  }).timeout(propertyTimeoutMs());

  it('in an answer of thousands is not looked for', () => {
    const chain = [leaf.chainPem.repeat(100), authority.rootPem];

    assert.throws(() => acceptChain(cart, chain, leaf.key, Date.now()), {
      code: 'ERR_CULVERT_CERTIFICATE_FETCH',
    });
  });
});

describe('names in a certificate', () => {
  const text = fc.string({ maxLength: 20 });
  const address = fc
    .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
    .map((bytes) => ipFromBytes(bytes))
    .filter((ip) => ip !== undefined);
  const names = fc.record(
    { uris: fc.array(text), dnsNames: fc.array(text), ips: fc.array(address), others: fc.constant(0) },
    { noNullPrototype: true },
  );

  it('are read as they were written', () => {
    check(fc.property(names, (each) => assert.deepEqual(decodeAltNames(encodeAltNames(each)), each)));
  });

  it('are read or refused, whatever the bytes', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 60 }), brokenBytes(names.map(encodeAltNames)));
    check(
      fc.property(bytes, (each) => onlyOurs(() => decodeAltNames(each))),
      500,
    );
  });

  it('nested without end are refused', () => {
    let der = Buffer.alloc(0);
    for (let i = 0; i < 3_000; i += 1) {
      const length = der.length < 128 ? [der.length] : [0x82, der.length >> 8, der.length & 255];
      der = Buffer.concat([Buffer.of(0x30, ...length), der]);
    }

    assert.throws(() => decodeAltNames(der), { code: 'ERR_CULVERT_ASN1' });
    assert.throws(() => readSigningRequest(toPem('CERTIFICATE REQUEST', der)), { code: 'ERR_CULVERT_CSR' });
    assert.throws(() => readCertificate(toPem('CERTIFICATE', der)), { code: 'ERR_CULVERT_CERTIFICATE' });
  });
});

describe('a PEM text', () => {
  const block = fc.uint8Array({ minLength: 1, maxLength: 100 });

  it('brings back every block of its label, whatever stands between', () => {
    const between = fc.constantFrom(
      '',
      '\n',
      '# a comment\r\n',
      toPem('PRIVATE KEY', Buffer.of(1)),
      'subject=CN=x\n',
    );
    check(
      fc.property(fc.array(fc.tuple(block, between)), (blocks) => {
        const text = blocks.map(([bytes, gap]) => toPem('CERTIFICATE', bytes) + gap).join('');
        assert.deepEqual(
          fromPem('CERTIFICATE', text).map((each) => Buffer.from(each)),
          blocks.map(([bytes]) => Buffer.from(bytes)),
        );
      }),
    );
  });

  it('that is broken is refused as what it should have been', () => {
    const text = block.map((bytes) => toPem('CERTIFICATE', bytes));
    check(
      fc.property(fc.oneof(brokenText(text), anyText), (each) => {
        onlyOurs(() => readTrustBundle(each));
        onlyOurs(() => readSigningRequest(each));
      }),
      300,
    );
  });

  for (const unit of ['-----BEGIN CERTIFICATE-----\n', '-----BEGIN ', 'A\r\n', '-', '\n'])
    it(`takes its time in proportion: ${JSON.stringify(unit)}`, () => {
      const make = (n: number): string => `-----BEGIN CERTIFICATE-----\n${unit.repeat(n)}`;

      assert.ok(growth(5_000, make, (text) => fromPem('CERTIFICATE', text)) < 24);
    });
});
