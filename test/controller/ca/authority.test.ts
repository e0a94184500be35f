import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority } from '../../../src/controller/ca/authority.ts';
import { readCertificate } from '../../../src/identity/certificate.ts';
import { issueIntermediate } from '../../../src/identity/issue.ts';
import { generateKey } from '../../../src/identity/keys.ts';
import { ip } from '../../../src/mesh/address.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { TestAuthority } from '../../support/certificates.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';
const hourMs = 3_600_000;

describe('the certificate authority', () => {
  let parent: string;
  let directory: string;
  let clock: FakeClock;
  const open = (): Promise<CertificateAuthority> =>
    CertificateAuthority.open({ directory, trustDomain: 'cluster.local', clock, logger: silentLogger });

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'culvert-ca-'));
    directory = join(parent, 'ca');
    clock = new FakeClock(Date.now());
  });
  afterEach(() => rm(parent, { recursive: true }));

  it('makes its root once, with a key that only the owner can read, and keeps it', async () => {
    const first = await open();
    const { mode } = await stat(join(directory, 'ca-key.pem'));
    const second = await open();

    assert.equal(mode & 0o777, 0o600);
    assert.equal(second.roots, first.roots);
    assert.deepEqual((await readdir(directory)).sort(), ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem']);
  });

  it('becomes one authority when two controllers start at once', async () => {
    await Promise.all([open(), open(), open()]);

    const { roots } = await open();
    assert.equal(readCertificate(roots).x509.checkIssued(readCertificate(roots).x509), true);
  });

  it('goes on where a start was interrupted after the key was stored', async () => {
    const first = await open();
    await rm(join(directory, 'ca-cert.pem'));
    await rm(join(directory, 'root-cert.pem'));

    const second = await open();

    const key = (roots: string): Buffer =>
      readCertificate(roots).x509.publicKey.export({ type: 'spki', format: 'der' });
    assert.deepEqual(key(second.roots), key(first.roots));
  });

  it('refuses a key that others can read, and says what to do', async () => {
    await open();
    await chmod(join(directory, 'ca-key.pem'), 0o640);

    await assert.rejects(open(), { code: 'ERR_CULVERT_CA_FILES', message: /mode 0640.*chmod 0600/ });
  });

  it('refuses a key that is not that of its certificate, and a certificate without a key', async () => {
    await open();
    await writeFile(join(directory, 'ca-key.pem'), (await generateKey()).privateKeyPem);
    await assert.rejects(open(), { code: 'ERR_CULVERT_CA_FILES', message: /not the key/ });

    await rm(join(directory, 'ca-key.pem'));
    await assert.rejects(open(), { code: 'ERR_CULVERT_CA_FILES', message: /missing/ });
  });

  it('refuses files that are no PEM', async () => {
    await open();
    await writeFile(join(directory, 'ca-cert.pem'), 'junk');

    await assert.rejects(open(), { code: 'ERR_CULVERT_CA_FILES' });
  });

  it('issues a leaf that openssl verifies, valid since 15 minutes', async () => {
    const authority = await open();
    const key = await generateKey();

    const issued = authority.issue(key.publicKey, { uris: [cart] }, 24 * hourMs);
    const leaf = readCertificate(issued.certificates[0] ?? '');

    const root = join(directory, 'root-cert.pem');
    const path = join(parent, 'leaf.pem');
    await writeFile(path, leaf.pem);
    assert.match(
      execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', root, path], { encoding: 'utf8' }),
      /OK/,
    );
    assert.deepEqual(leaf.names.uris, [cart]);
    assert.ok(Math.abs(leaf.notBeforeMs - (clock.now() - 900_000)) < 1_000);
    assert.ok(Math.abs(leaf.notAfterMs - (clock.now() + 24 * hourMs)) < 1_000);
  });

  it('never issues beyond its own end, and nothing after it', async () => {
    const authority = await open();
    const key = await generateKey();
    clock.advance(authority.notAfterMs - clock.now() - hourMs);

    const issued = authority.issue(key.publicKey, { uris: [cart] }, 24 * hourMs);
    assert.equal(issued.notAfterMs, authority.notAfterMs);

    clock.advance(hourMs);
    assert.throws(() => authority.issue(key.publicKey, { uris: [cart] }, hourMs), {
      code: 'ERR_CULVERT_CA_UNAVAILABLE',
    });
  });

  it('trusts a root that is added while it runs, and drops one that is taken out', async () => {
    const authority = await open();
    const own = authority.roots;
    const next = await TestAuthority.create();

    await writeFile(join(directory, 'root-cert.pem'), own + next.rootPem);
    assert.equal(await authority.refreshRoots(), true);
    assert.equal(authority.roots, own + next.rootPem);

    await writeFile(join(directory, 'root-cert.pem'), own);
    assert.equal(await authority.refreshRoots(), true);
    assert.equal(authority.roots, own);
    assert.equal(await authority.refreshRoots(), false);
  });

  it('keeps the roots it has when their file is junk, is gone, or lacks its own', async () => {
    const authority = await open();
    const own = authority.roots;
    const other = await TestAuthority.create();

    for (const text of ['junk', '', other.rootPem]) {
      await writeFile(join(directory, 'root-cert.pem'), text);
      assert.equal(await authority.refreshRoots(), false);
      assert.equal(authority.roots, own);
    }
    await rm(join(directory, 'root-cert.pem'));
    assert.equal(await authority.refreshRoots(), false);
    assert.equal(authority.roots, own);
  });

  it('signs below the root of somebody else, and trusts several roots at once', async () => {
    await open();
    const other = await TestAuthority.create();
    const next = await TestAuthority.create();
    const key = await generateKey();
    const validity = { notBeforeMs: clock.now() - hourMs, notAfterMs: clock.now() + 1000 * hourMs };
    const names = { commonName: 'mesh', organization: 'somebody' };
    await writeFile(join(directory, 'ca-key.pem'), key.privateKeyPem);
    await writeFile(
      join(directory, 'ca-cert.pem'),
      issueIntermediate({ ...names, ...validity }, key.publicKey, other.issuer),
    );
    await writeFile(join(directory, 'root-cert.pem'), other.rootPem + next.rootPem);

    const authority = await open();
    const issued = authority.issue((await generateKey()).publicKey, { uris: [cart] }, hourMs);

    assert.equal(issued.certificates.length, 2);
    assert.equal(authority.roots, other.rootPem + next.rootPem);
    await writeFile(join(parent, 'chain.pem'), issued.certificates.join(''));
    const verify = ['verify', '-x509_strict', '-CAfile', join(directory, 'root-cert.pem')];
    const chain = join(parent, 'chain.pem');
    assert.match(
      execFileSync('openssl', [...verify, '-untrusted', chain, chain], { encoding: 'utf8' }),
      /OK/,
    );
  });

  it('refuses an intermediate that no trusted root has issued', async () => {
    await open();
    await writeFile(join(directory, 'root-cert.pem'), (await TestAuthority.create()).rootPem);

    await assert.rejects(open(), { code: 'ERR_CULVERT_CA_FILES', message: /not issued by a trusted root/ });
  });

  it('issues a serving certificate for the names of the controller', async () => {
    const authority = await open();

    const serving = await authority.issueServing({ dnsNames: ['controller.local'], ips: [ip('127.0.0.1')] });

    const leaf = readCertificate(serving.chainPem);
    assert.equal(leaf.x509.checkHost('controller.local'), 'controller.local');
    assert.equal(leaf.x509.checkIP('127.0.0.1'), '127.0.0.1');
    assert.doesNotMatch(
      await readFile(join(directory, 'ca-key.pem'), 'utf8'),
      new RegExp(serving.keyPem.slice(40, 80)),
    );
  });
});
