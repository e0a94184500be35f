import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority } from '../../../src/controller/ca/authority.ts';
import { PodIdentitySigner } from '../../../src/controller/ca/signer.ts';
import { readCertificate } from '../../../src/identity/certificate.ts';
import { CertificateManager } from '../../../src/identity/certificate-manager.ts';
import { createSigningRequest } from '../../../src/identity/csr.ts';
import type { KeyPair } from '../../../src/identity/keys.ts';
import { generateKey } from '../../../src/identity/keys.ts';
import { ip } from '../../../src/mesh/address.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { CertificateClient } from '../../../src/xds/certificate-client.ts';
import type { XdsServer } from '../../../src/xds/server.ts';
import type { Caller } from '../../../src/xds/types.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { Harness, ztunnelOne } from '../../xds/harness.ts';

const cart = 'spiffe://cluster.local/ns/shop/sa/cart';
const hourMs = 3_600_000;
const ztunnelTwo: Caller = { ...ztunnelOne, node: 'node2', name: 'culvert-system/ztunnel@node2' };

describe('the signer of pod identities', () => {
  let directory: string;
  let clock: FakeClock;
  let authority: CertificateAuthority;
  let signer: PodIdentitySigner;
  let key: KeyPair;
  const pods = new Map([['node1', new Set([cart])]]);
  const nobody = new Set<string>();

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-signer-'));
    clock = new FakeClock(Date.now());
    const open = { directory, trustDomain: 'cluster.local', clock, logger: silentLogger };
    authority = await CertificateAuthority.open(open);
    signer = new PodIdentitySigner({
      authority,
      trustDomain: 'cluster.local',
      identitiesOnNode: (node) => pods.get(node) ?? nobody,
      nodeAccounts: new Set(['culvert-system/ztunnel']),
    });
    key = await generateKey();
  });
  after(() => rm(directory, { recursive: true }));

  const ask = (caller: Caller, uris: readonly string[], extra: object = {}): Promise<readonly string[]> =>
    signer.sign({ caller, csrPem: createSigningRequest({ uris }, key), validityMs: 0, ...extra });

  it('gives a ztunnel the identity of a pod on its node, roots last', async () => {
    const chain = await ask(ztunnelOne, [cart]);

    const leaf = readCertificate(chain[0] ?? '');
    assert.deepEqual(leaf.names.uris, [cart]);
    assert.ok(leaf.x509.publicKey.equals(key.publicKey));
    assert.equal(chain.at(-1), authority.roots);
  });

  it('takes the identity from ImpersonatedIdentity as well, if both say the same', async () => {
    const both = await ask(ztunnelOne, [cart], { impersonatedIdentity: cart });
    const metadataAlone = await ask(ztunnelOne, [], { impersonatedIdentity: cart });

    assert.deepEqual(readCertificate(both[0] ?? '').names.uris, [cart]);
    assert.deepEqual(readCertificate(metadataAlone[0] ?? '').names.uris, [cart]);
  });

  it('gives a caller its own identity', async () => {
    const own = 'spiffe://cluster.local/ns/shop/sa/waypoint';
    const caller = { namespace: 'shop', serviceAccount: 'waypoint', name: 'shop/waypoint' };

    assert.deepEqual(readCertificate((await ask(caller, [own]))[0] ?? '').names.uris, [own]);
  });

  it('caps the validity at a day, and gives less if less is asked for', async () => {
    const long = readCertificate((await ask(ztunnelOne, [cart], { validityMs: 1000 * hourMs }))[0] ?? '');
    const short = readCertificate((await ask(ztunnelOne, [cart], { validityMs: hourMs }))[0] ?? '');

    assert.ok(Math.abs(long.notAfterMs - clock.now() - 24 * hourMs) < 1_000);
    assert.ok(Math.abs(short.notAfterMs - clock.now() - hourMs) < 1_000);
  });

  const web = 'spiffe://cluster.local/ns/shop/sa/web';
  const withoutNode: Caller = { namespace: 'culvert-system', serviceAccount: 'ztunnel', name: 'ztunnel' };
  const podOfNode: Caller = {
    namespace: 'shop',
    serviceAccount: 'web',
    node: 'node1',
    name: 'shop/web@node1',
  };
  const denied: [string, Caller, string][] = [
    ['an identity of no pod on its node', ztunnelOne, web],
    ['an identity of a pod on another node', ztunnelTwo, cart],
    ['an identity of another trust domain', ztunnelOne, 'spiffe://other/ns/shop/sa/cart'],
    ['an identity to a ztunnel whose node is not proven', withoutNode, cart],
    ['an identity to a pod that is no node agent', podOfNode, cart],
  ];
  for (const [what, caller, uri] of denied)
    it(`denies ${what}`, async () => {
      await assert.rejects(ask(caller, [uri]), { code: 'ERR_CULVERT_CA_DENIED' });
    });

  const wrong: [string, readonly string[], object][] = [
    ['two identities', [cart, web], {}],
    ['no identity', [], {}],
    ['one identity in the request and another beside it', [cart], { impersonatedIdentity: web }],
    ['a name that is no identity', ['https://cluster.local/'], {}],
  ];
  for (const [what, uris, extra] of wrong)
    it(`refuses a request for ${what}`, async () => {
      await assert.rejects(ask(ztunnelOne, uris, extra), { code: 'ERR_CULVERT_CA_REQUEST' });
    });

  it('refuses a request that names a host beside the identity', async () => {
    const csrPem = createSigningRequest({ uris: [cart], dnsNames: ['cart'], ips: [ip('10.0.0.1')] }, key);

    await assert.rejects(signer.sign({ caller: ztunnelOne, csrPem, validityMs: 0 }), {
      code: 'ERR_CULVERT_CA_REQUEST',
    });
  });

  describe('over the control channel', () => {
    let harness: Harness;
    let server: XdsServer;
    let client: CertificateClient;
    let token = 'good-token';

    beforeEach(async () => {
      harness = await Harness.create();
      harness.callers.callers.set('node-two', ztunnelTwo);
      server = await harness.serve({ signer });
      token = 'good-token';
      client = new CertificateClient({
        address: harness.address,
        roots: () => harness.authority.rootPem,
        token: () => token,
        headers: { clusterid: 'Kubernetes' },
      });
      harness.onClose(() => client.close());
    });
    afterEach(() => harness.close());

    it("keeps a manager's certificates", async () => {
      const manager = new CertificateManager({
        requestCertificate: (identity, csr, signal) =>
          client.requestCertificate(csr, { validityMs: hourMs, impersonatedIdentity: identity, signal }),
        clock: systemClock,
        logger: silentLogger,
      });
      harness.onClose(() => manager.close());

      const certificate = await manager.fetch(cart);

      assert.equal(certificate.roots, authority.roots);
      assert.ok(certificate.notAfterMs - Date.now() < hourMs + 1_000);
    });

    const refusals: [string, string, string, RegExp][] = [
      ['the token is wrong', 'bad-token', cart, /UNAUTHENTICATED/],
      ['the pod runs on another node', 'node-two', cart, /PERMISSION_DENIED: .*node2/],
      ['the request is senseless', 'good-token', 'http://x', /INVALID_ARGUMENT/],
    ];
    for (const [what, presented, uri, message] of refusals)
      it(`says why when ${what}`, async () => {
        token = presented;
        const csr = createSigningRequest({ uris: [uri] }, key);

        await assert.rejects(client.requestCertificate(csr, { validityMs: hourMs }), {
          code: 'ERR_CULVERT_CERTIFICATE_REQUEST',
          message,
        });
      });

    it('refuses a request that is no signing request', async () => {
      await assert.rejects(client.requestCertificate('junk', { validityMs: 0 }), {
        message: /INVALID_ARGUMENT/,
      });
    });

    it('goes on after the controller was away, without a new client', async () => {
      const csr = createSigningRequest({ uris: [cart] }, key);
      await client.requestCertificate(csr, { validityMs: hourMs });
      const { port } = server;
      await server.close();
      await assert.rejects(client.requestCertificate(csr, { validityMs: hourMs }), {
        message: /UNAVAILABLE/,
      });

      await harness.serve({ signer, port });

      assert.equal((await client.requestCertificate(csr, { validityMs: hourMs })).length, 2);
    });

    it('fails when the caller has lost patience', async () => {
      const csr = createSigningRequest({ uris: [cart] }, key);

      await assert.rejects(client.requestCertificate(csr, { validityMs: 0, signal: AbortSignal.abort() }));
    });
  });
});
