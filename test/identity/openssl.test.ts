// What we make must be what OpenSSL's command line accepts: it knows nothing of this code.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSigningRequest, readSigningRequest } from '../../src/identity/csr.ts';
import { generateKey } from '../../src/identity/keys.ts';
import { ip } from '../../src/mesh/address.ts';
import { TestAuthority } from '../support/certificates.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';

describe('certificates as openssl sees them', () => {
  let directory: string;
  const file = (name: string, content: string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-openssl-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('verifies a leaf against its root with every strict check on', async () => {
    const authority = await TestAuthority.create();
    const leaf = await authority.issue(cart);

    const root = file('root.pem', authority.rootPem);
    const output = openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-CAfile',
      root,
      file('leaf.pem', leaf.certificatePem),
    );

    assert.match(output, /leaf\.pem: OK/);
  });

  it('verifies a leaf below an intermediate', async () => {
    const authority = await TestAuthority.create({ intermediate: true });
    const leaf = await authority.issue(cart);

    const root = file('root.pem', authority.rootPem);
    const chain = file('chain.pem', leaf.chainPem);
    const output = openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-CAfile',
      root,
      '-untrusted',
      chain,
      chain,
    );

    assert.match(output, /OK/);
  });

  it('refuses a leaf of a foreign root and an expired one', async () => {
    const authority = await TestAuthority.create();
    const foreign = await (await TestAuthority.create()).issue(cart);
    const expired = await authority.issueExpired(cart);

    const root = file('root.pem', authority.rootPem);
    const verdicts = [foreign, expired].map((leaf, index) => {
      const path = file(`leaf${index}.pem`, leaf.certificatePem);
      return spawnSync('openssl', ['verify', '-CAfile', root, path], { encoding: 'utf8' });
    });

    assert.notEqual(verdicts[0]?.status, 0);
    assert.notEqual(verdicts[1]?.status, 0);
    assert.match(verdicts[1]?.stderr ?? '', /expired/);
  });

  it('finds the extensions that SPIFFE demands', async () => {
    const leaf = await (
      await TestAuthority.create()
    ).issue(cart, { dnsNames: ['controller'], ips: [ip('10.0.0.1')] });

    const text = openssl('x509', '-noout', '-text', '-in', file('leaf.pem', leaf.certificatePem));

    assert.match(
      text,
      /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart, DNS:controller, IP Address:10\.0\.0\.1/,
    );
    assert.match(text, /Key Usage: critical\s+Digital Signature/);
    assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
    assert.match(text, /Basic Constraints: critical\s+CA:FALSE/);
    assert.match(text, /Authority Key Identifier/);
  });

  it('proves the signature of our signing request and shows its only name', async () => {
    const key = await generateKey();
    const request = createSigningRequest({ uris: [cart] }, key);

    const path = file('request.pem', request);
    const verified = spawnSync('openssl', ['req', '-verify', '-noout', '-in', path], { encoding: 'utf8' });
    const text = openssl('req', '-noout', '-text', '-in', path);

    assert.equal(verified.status, 0);
    assert.match(verified.stderr + verified.stdout, /verify OK/);
    assert.match(
      text,
      /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart\n/,
    );
  });

  it("reads a signing request that openssl made, with its key's possession proven", () => {
    const key = file('key.pem', openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout'));
    const request = openssl(
      'req',
      '-new',
      '-key',
      key,
      '-subj',
      '/O=x',
      '-addext',
      `subjectAltName=URI:${cart}`,
    );

    const read = readSigningRequest(request);

    assert.deepEqual(read.names.uris, [cart]);
    assert.equal(read.names.others, 0);
  });
});
