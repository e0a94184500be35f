// What strangers may send to a pod's tunnel port, and that nobody else notices. Needs root.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adminGet } from '../../src/playground/admin.ts';
import { issueLeaf, issuerOf } from '../../src/identity/issue.ts';
import { generateKey, readKey } from '../../src/identity/keys.ts';
import { TestAuthority } from '../support/certificates.ts';
import type { HboneOutcome } from '../support/mesh-hostile.ts';
import type { TestMesh } from '../support/mesh.ts';
import { requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';

const port = 7001;
const hourMs = 3_600_000;
const client = 'spiffe://cluster.local/ns/mesh/sa/client';

interface Credentials {
  readonly certificateChain: string;
  readonly privateKey: string;
}

describe('the tunnel port, when strangers talk to it', function () {
  this.timeout(sanitized ? 120_000 : 30_000);
  let mesh: TestMesh;

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'attacker', node: 'node1', captured: false },
        { name: 'far', node: 'node2', captured: true },
        { name: 'other', node: 'node2', captured: true },
      ],
    });
    for (const server of ['far', 'other']) await mesh.pod(server).listen(port, 'echo');
    await mesh.pod('client').hold('bystander', { host: mesh.address('far', 'v4'), port });
  });

  afterEach('leaves the connections of others alone', async () => {
    assert.equal((await mesh.pod('client').probe('bystander')).outcome, 'ok');
    assert.equal((await mesh.pod('client').echo({ host: mesh.address('far', 'v4'), port })).outcome, 'ok');
    assert.ok(mesh.mesh.ztunnel('node2').running);
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  const tunnel = () => ({ host: mesh.address('far', 'v4'), port: 15_008, alpn: ['h2'] });
  const application = () => `${mesh.address('far', 'v4')}:${port}`;
  const attempt = (what: object) =>
    mesh.pod('attacker').hbone({ ...tunnel(), authority: application(), payload: 'hello', ...what });

  /** Signed by the mesh's own root, as a node would be given it. */
  async function fromMesh(uri: string, notBeforeMs: number, notAfterMs: number): Promise<Credentials> {
    const directory = join(mesh.mesh.paths.directory, 'ca');
    const [certificate, key] = await Promise.all(
      ['ca-cert.pem', 'ca-key.pem'].map((file) => readFile(join(directory, file), 'utf8')),
    );
    const own = await generateKey();
    const issuer = issuerOf(certificate ?? '', readKey(key ?? ''));
    const leaf = issueLeaf(
      { publicKey: own.publicKey, names: { uris: [uri] }, notBeforeMs, notAfterMs },
      issuer,
    );
    return { certificateChain: leaf, privateKey: own.privateKeyPem };
  }
  const good = () => fromMesh(client, Date.now() - hourMs, Date.now() + hourMs);

  it('serves a peer with a certificate of the mesh: the attempts below differ in one thing each', async () => {
    const outcome = await attempt(await good());

    assert.deepEqual(outcome, { stage: 'answered', status: 200, echoed: 'hello' });
  });

  for (const [what, bytes] of [
    ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: far\r\n\r\n')],
    ['HTTP/2 without TLS', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['random bytes', randomBytes(4096)],
    ['a TLS record that claims more than it may', Buffer.from([22, 3, 1, 255, 255, ...randomBytes(64)])],
  ] as const)
    it(`closes on ${what}`, async () => {
      const result = await mesh.pod('attacker').raw({ ...tunnel(), timeoutMs: 10_000 }, bytes);

      assert.notEqual(result.outcome, 'timeout');
      assert.ok(!result.text.includes('HTTP/1.1 200'));
    });

  it('closes a connection that says nothing', async () => {
    const result = await mesh.pod('attacker').raw({ ...tunnel(), timeoutMs: 15_000 }, Buffer.alloc(0));

    assert.notEqual(result.outcome, 'timeout');
  });

  const refused: Readonly<Record<string, () => Promise<object>>> = {
    'no certificate': () => Promise.resolve({}),
    'a certificate of a foreign root': async () => {
      const leaf = await (await TestAuthority.create()).issue(client);
      return { certificateChain: leaf.chainPem, privateKey: leaf.keyPem };
    },
    'an expired certificate': () => fromMesh(client, Date.now() - 2 * hourMs, Date.now() - hourMs),
    'a certificate that is not valid yet': () =>
      fromMesh(client, Date.now() + hourMs, Date.now() + 2 * hourMs),
    'an identity of another trust domain': () =>
      fromMesh('spiffe://elsewhere/ns/mesh/sa/client', Date.now() - hourMs, Date.now() + hourMs),
    'another ALPN': async () => ({ ...(await good()), alpn: ['http/1.1'] }),
    'no ALPN': async () => ({ ...(await good()), alpn: [] }),
  };
  for (const [what, credentials] of Object.entries(refused))
    it(`does not serve ${what}`, async () => {
      const outcome = await attempt(await credentials());

      assert.notEqual(outcome.stage, 'answered');
      assert.notEqual(outcome.error, 'timeout');
      assert.equal(outcome.echoed, undefined);
    });

  const authorities: Readonly<Record<string, () => string>> = {
    'a pod of somebody else': () => `${mesh.address('other', 'v4')}:${port}`,
    'an address outside the mesh': () => '203.0.113.7:80',
    loopback: () => `127.0.0.1:${port}`,
    'loopback of IPv6': () => `[::1]:${port}`,
    'the tunnel port itself': () => `${mesh.address('far', 'v4')}:15008`,
    'no port': () => mesh.address('far', 'v4'),
    'port zero': () => `${mesh.address('far', 'v4')}:0`,
    'a name that nobody has': () => 'nowhere.mesh.svc.cluster.local:80',
    junk: () => 'a b c',
    nothing: () => '',
  };
  for (const [what, authority] of Object.entries(authorities))
    it(`refuses CONNECT to ${what}`, async () => {
      const outcome = await attempt({ ...(await good()), authority: authority() });

      assertRefused(outcome);
    });

  it('refuses a method that is not CONNECT', async () => {
    const outcome = await attempt({ ...(await good()), method: 'GET' });

    assertRefused(outcome);
  });

  it('counts what it refused', async () => {
    const { body } = await adminGet(mesh.mesh.adminSocket('node2'), '/metrics');

    const refusals = body
      .split('\n')
      .filter((line) => /tls|refus|reject|fail/i.test(line) && / [1-9]\d*$/.test(line));
    assert.ok(refusals.length > 0, 'no counter of refusals is above zero');
  });

  it('does not let a flood of garbage keep others out', async () => {
    const flood = mesh
      .pod('attacker')
      .parallel({ ...tunnel(), timeoutMs: 10_000 }, sanitized ? 50 : 300, 512);
    const served = await mesh.pod('client').parallel({ host: mesh.address('far', 'v4'), port }, 20);
    const results = await flood;

    assert.deepEqual(new Set(served.map(({ outcome }) => outcome)), new Set(['ok']));
    assert.ok(results.every(({ outcome }) => outcome !== 'ok'));
  });
});

/** With a status, or with the stream's end: at once, and never with a 200. */
function assertRefused(outcome: HboneOutcome): void {
  const said = JSON.stringify(outcome);
  if (outcome.stage === 'answered') assert.ok((outcome.status ?? 0) >= 400, said);
  else assert.match(outcome.error ?? '', /NGHTTP2_/, said);
}
