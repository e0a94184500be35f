// Certificates and chains that must not get in, whichever end shows them. All but the foreign one are signed by a root
// that is trusted: what is wrong is one thing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import tls from 'node:tls';
import { TestAuthority } from '../../support/certificates.ts';
import type { TestLeaf } from '../../support/certificates.ts';
import { type Forged, type Forgery, forge } from '../../support/forged-certificates.ts';
import type { Attack, Scene } from '../attack.ts';
import { soon } from './ending.ts';

interface Credentials {
  readonly chainPem: string;
  readonly keyPem: string;
}

interface Case {
  readonly name: string;
  readonly does: string;
  readonly limit: string;
  readonly selected?: true;
  make(authority: TestAuthority, id: string): Credentials | Promise<Credentials>;
}

const oneName = 'one URI that is a SPIFFE id as the standard writes it, of the trust domain';
const domain = 'spiffe://cluster.local';

/** What the certificate says beside the id that would be right. */
function named(name: string, does: string, names: (id: string) => Forgery, limit = oneName): Case {
  return { name, does, limit, make: (authority, id) => chain(forge(authority, names(id))) };
}

function chain(...certificates: readonly [Forged, ...Forged[]]): Credentials {
  const chainPem = certificates.map(({ certificatePem }) => certificatePem).join('');
  return { chainPem, keyPem: certificates[0].keyPem };
}

/** Made once, for both ends. */
const deepAuthorities = new WeakMap<TestAuthority, Forged[]>();

const uri = (change: (id: string) => string) => (id: string) => ({ uris: [change(id)] });

const cases: readonly Case[] = [
  {
    name: 'huge chain',
    does: 'shows 150 certificates, 70 KB of them',
    limit: '64 KiB of certificates',
    selected: true,
    make: (authority, id) => {
      const leaf = forge(authority, { uris: [id] });
      const other = forge(authority, { uris: ['spiffe://cluster.local/x'], isAuthority: true });
      return chain(leaf, ...Array.from({ length: 150 }, () => other));
    },
  },
  {
    name: 'deep chain',
    does: 'shows a chain of 10 authorities below the root',
    limit: '8 authorities below a root',
    make: (authority, id) => {
      const authorities = deepAuthorities.get(authority) ?? [];
      deepAuthorities.set(authority, authorities);
      for (let depth = authorities.length; depth < 10; depth += 1)
        authorities.unshift(
          forge(authority, { isAuthority: true, subject: `/CN=depth ${depth}` }, authorities[0]),
        );
      return chain(forge(authority, { uris: [id] }, authorities[0]), ...authorities);
    },
  },
  {
    name: 'cyclic chain',
    does: 'shows two authorities that have signed each other and no root',
    limit: 'a chain ends at a root that is trusted',
    selected: true,
    make: (authority, id) => {
      const one = forge(authority, { isAuthority: true, subject: '/CN=one' }, 'itself');
      const two = forge(authority, { isAuthority: true, subject: '/CN=two' }, one);
      const oneAgain = forge(authority, { isAuthority: true, subject: '/CN=one' }, two);
      return chain(forge(authority, { uris: [id] }, two), two, oneAgain, one);
    },
  },
  named(
    'NUL in the name',
    'puts a NUL behind an id that would be right',
    uri((id) => `${id}\0.elsewhere`),
  ),
  named('two names', 'names two identities', (id) => ({ uris: [id, `${domain}/ns/shop/sa/other`] })),
  named(
    'long name',
    'names an id of 3 KB',
    uri((id) => `${id}${'x'.repeat(3000)}`),
    '2048 bytes',
  ),
  named(
    'another trust domain',
    'is of a domain that is not ours',
    uri((id) => id.replace('cluster.local', 'elsewhere')),
  ),
  named(
    'longer trust domain',
    'is of a domain that begins as ours',
    uri((id) => id.replace('cluster.local', 'cluster.local.evil')),
  ),
  named(
    'upper case domain',
    'writes the domain in capitals',
    uri((id) => id.replace('cluster.local', 'CLUSTER.LOCAL')),
  ),
  named(
    'upper case scheme',
    'writes the scheme in capitals',
    uri((id) => id.replace('spiffe', 'SPIFFE')),
  ),
  named(
    'foreign letters',
    'writes the domain with letters beyond ASCII',
    uri((id) => id.replace('cluster', 'cl\xfcster')),
  ),
  named(
    'user in the name',
    'puts a user in front of the domain',
    uri((id) => id.replace('//', '//admin@')),
  ),
  named(
    'port in the name',
    'puts a port behind the domain',
    uri((id) => id.replace('.local', '.local:443')),
  ),
  named(
    'query in the name',
    'puts a query behind the id',
    uri((id) => `${id}?x=1`),
  ),
  named(
    'fragment in the name',
    'puts a fragment behind the id',
    uri((id) => `${id}#x`),
  ),
  named(
    'percent in the name',
    'writes a letter of the id as a percent code',
    uri((id) => id.replace('/sa/', '/s%61/')),
  ),
  named(
    'dots in the path',
    'goes up and down in the path',
    uri((id) => id.replace('/sa/', '/../shop/sa/')),
  ),
  named(
    'empty segment',
    'has an empty segment in the path',
    uri((id) => id.replace('/sa/', '//sa/')),
  ),
  named('DNS name only', 'has a DNS name and no URI', () => ({
    dnsNames: ['server.shop.svc.cluster.local'],
  })),
  named('no name', 'has no name at all', () => ({})),
  named(
    'wrong purpose',
    'is for signing code',
    (id) => ({ uris: [id], extendedKeyUsage: 'codeSigning' }),
    'TLS, for the end that shows it',
  ),
  named(
    'an authority',
    'shows the certificate of an authority as its own',
    (id) => ({ uris: [id], isAuthority: true }),
    'no authority is a peer',
  ),
  {
    name: 'self-signed',
    does: 'has signed its certificate itself',
    limit: 'a chain ends at a root that is trusted',
    make: (authority, id) => chain(forge(authority, { uris: [id] }, 'itself')),
  },
  {
    name: 'foreign root',
    does: 'has a certificate of another mesh of the same trust domain',
    limit: 'a chain ends at a root that is trusted',
    make: async (_, id) => (await TestAuthority.create()).issue(id),
  },
  {
    name: 'expired',
    does: 'has a certificate that ended an hour ago',
    limit: 'NotAfter',
    make: (authority, id) => authority.issueExpired(id),
  },
  {
    name: 'not yet valid',
    does: 'has a certificate that begins tomorrow',
    limit: 'NotBefore',
    make: (authority, id) => authority.issueFuture(id),
  },
];

/** How our end refuses a client that shows these. */
async function refusalOf(scene: Scene, { chainPem, keyPem }: Credentials): Promise<string> {
  const socket = tls.connect({
    ...{ host: scene.hbone.ip, port: scene.hbone.port, localAddress: scene.source() },
    cert: chainPem,
    key: keyPem,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
  });
  let served = false;
  socket.on('data', () => (served = true));
  const failed = once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? 'closed');
  const closed = once(socket, 'close').then(
    () => 'closed',
    () => 'closed',
  );
  const how = await Promise.race([failed, closed, soon(5000)]);
  socket.destroy();
  assert.ok(how !== false && !served, 'it is served');
  return said(how);
}

function said(code: string): string {
  const alert = /ALERT_(.+)$/.exec(code)?.[1];
  return alert === undefined ? 'closed' : `alert ${alert.toLowerCase()}`;
}

function toServer(one: Case): Attack {
  return {
    ...common(one),
    group: 'certificates',
    async run(scene) {
      return await refusalOf(
        scene,
        await one.make(scene.authority, 'spiffe://cluster.local/ns/shop/sa/taken-over'),
      );
    },
  };
}

function toClient(one: Case): Attack {
  return {
    ...common(one),
    name: `${one.name}, of a server`,
    group: 'hostile servers',
    async run(scene) {
      const credentials = await one.make(scene.authority, scene.hostile.leaf.identity);
      let code = 'closed';
      const shown: TestLeaf = { ...scene.hostile.leaf, ...credentials };
      scene.hostile.behave((socket) => {
        scene.hostile
          .secure(socket, shown)
          .on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? code))
          .resume();
      });
      const victim = await scene.lure();
      const fate = await Promise.race([victim.fate, soon(8000)]);
      assert.ok(fate !== false && fate !== 'end', `its connection: ${String(fate)}`);
      return `${said(code)}; its connection is reset`;
    },
  };
}

function common({
  name,
  does,
  limit,
  selected,
}: Case): Pick<Attack, 'name' | 'does' | 'limit' | 'counter' | 'reason' | 'selected'> {
  return {
    name,
    does,
    limit,
    counter: 'handshake_failed',
    reason: 'tls_failure',
    ...(selected === true && { selected }),
  };
}

export const certificateAttacks: readonly Attack[] = [...cases.map(toServer), ...cases.map(toClient)];
