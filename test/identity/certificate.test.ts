import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readCertificate } from '../../src/identity/certificate.ts';
import { IdentityError } from '../../src/identity/errors.ts';
import { fromPem, splitCertificates, toPem } from '../../src/identity/pem.ts';
import { findChainFault, readTrustBundle } from '../../src/identity/trust-bundle.ts';
import { ip } from '../../src/mesh/address.ts';
import { TestAuthority } from '../support/certificates.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';

describe('a certificate', () => {
  it('tells its names, its validity and whether it is an authority', async () => {
    const authority = await TestAuthority.create();
    const at = Date.UTC(2051, 0, 1);
    const names = { dnsNames: ['a.example, URI:spiffe://x/ns/y/sa/z'], ips: [ip('fd00::1')] };
    const leaf = await authority.issue(cart, { notBeforeMs: at - 1_000, notAfterMs: at, ...names });

    const read = readCertificate(leaf.certificatePem);

    // A comma within a name does not make two of it.
    assert.deepEqual(read.names, { uris: [cart], ...names, others: 0 });
    assert.equal(read.notBeforeMs, at - 1_000);
    assert.equal(read.notAfterMs, at);
    assert.equal(read.isAuthority, false);
    assert.equal(readCertificate(authority.rootPem).isAuthority, true);
  });

  it('is refused for what it is not, never with another error than ours', async () => {
    const leaf = await (await TestAuthority.create()).issue(cart);
    const der = fromPem('CERTIFICATE', leaf.certificatePem)[0] ?? Buffer.alloc(0);
    const whole = readCertificate(leaf.certificatePem);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(der);
        changed[at] = value;
        try {
          assert.equal(typeof readCertificate(toPem('CERTIFICATE', changed)).pem, typeof whole.pem);
        } catch (error) {
          assert.ok(error instanceof IdentityError, String(error));
        }
      }),
      { numRuns: 1_000 },
    );
    for (const text of ['', 'junk', '-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n'])
      assert.throws(() => readCertificate(text), { code: 'ERR_CULVERT_CERTIFICATE' });
  });

  it('is one of a bundle with text and other blocks between', async () => {
    const { rootPem } = await TestAuthority.create();
    const leaf = await (await TestAuthority.create()).issue(cart);

    const bundle = `# roots\r\n${rootPem.replaceAll('\n', '\r\n')}\n${leaf.keyPem}subject=x\n${leaf.certificatePem}`;

    assert.deepEqual(splitCertificates(bundle), [rootPem, leaf.certificatePem]);
  });
});

describe('a chain', () => {
  const read = (pem: string): ReturnType<typeof readCertificate>[] =>
    splitCertificates(pem).map(readCertificate);

  it('is trusted up to any of several roots', async () => {
    const old = await TestAuthority.create();
    const next = await TestAuthority.create({ intermediate: true });
    const bundle = readTrustBundle(old.rootPem, next.rootPem + old.rootPem);

    assert.equal(bundle.roots.length, 2);
    for (const authority of [old, next]) {
      const leaf = await authority.issue(cart);
      assert.equal(findChainFault(read(leaf.chainPem), bundle, Date.now()), undefined);
    }
  });

  it('is not trusted when expired, not valid yet, foreign, incomplete or empty', async () => {
    const authority = await TestAuthority.create({ intermediate: true });
    const bundle = readTrustBundle(authority.rootPem);
    const fault = (pem: string): string | undefined => findChainFault(read(pem), bundle, Date.now());

    assert.match(fault((await authority.issueExpired(cart)).chainPem) ?? '', /expired/);
    assert.match(fault((await authority.issueFuture(cart)).chainPem) ?? '', /not valid yet/);
    assert.match(fault((await (await TestAuthority.create()).issue(cart)).chainPem) ?? '', /not issued by/);
    assert.match(fault((await authority.issue(cart)).certificatePem) ?? '', /not issued by/);
    assert.match(findChainFault([], bundle, Date.now()) ?? '', /empty/);
  });

  it('has no leaf for a root', async () => {
    const leaf = await (await TestAuthority.create()).issue(cart);

    assert.throws(() => readTrustBundle(leaf.certificatePem), { code: 'ERR_CULVERT_TRUST_BUNDLE' });
  });
});
