// The controller towards a stock ambient ztunnel: requests as it writes them, answers read field by field, over TLS, with
// protobuf by hand on both sides. What the server does with odd clients is in test/xds/stock-client.test.ts.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import { Controller } from '../../src/controller/controller.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { eventually } from '../support/eventually.ts';
import { Fields, field, numberField } from '../support/protobuf-wire.ts';
import { podYaml, policyYaml, settings } from './manifests.ts';

const addressType = 'type.googleapis.com/istio.workload.Address';
const authorizationType = 'type.googleapis.com/istio.security.Authorization';
const discovery = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const createCertificate = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const cart = 'spiffe://cluster.local/ns/shop/sa/cart';
const asIs = (bytes: Buffer): Buffer => bytes;

/** google.protobuf.Struct of strings. */
function struct(values: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(values);
  return Buffer.concat(entries.map(([key, value]) => field(1, [field(1, key), field(2, field(3, value))])));
}

const node = field(1, [
  field(1, 'ztunnel~10.0.0.9~ztunnel-x7k2p.istio-system~istio-system.svc.cluster.local'),
  field(
    3,
    struct({
      INSTANCE_IPS: '10.0.0.9',
      NAME: 'ztunnel-x7k2p',
      NAMESPACE: 'istio-system',
      NODE_NAME: 'node1',
      ISTIO_VERSION: '1.31.0',
    }),
  ),
]);

/** `known`: initial_resource_versions, a map of names to versions. */
function firstRequest(typeUrl: string, known: ReadonlyMap<string, string> = new Map()): Buffer {
  const versions = [...known].map(([name, version]) => field(5, [field(1, name), field(2, version)]));
  return Buffer.concat([node, field(2, typeUrl), ...versions]);
}

/** Resources of a response by name: version and message. */
function resourcesOf(response: Fields): Map<string, { version: string; typeUrl: string; value: Fields }> {
  return new Map(
    response.all(2).map((bytes) => {
      const resource = new Fields(bytes);
      const any = resource.message(2);
      const value = { version: resource.text(1), typeUrl: any.text(1), value: any.message(2) };
      return [resource.text(3), value];
    }),
  );
}

describe('a stock ztunnel', () => {
  let root: string;
  let controller: Controller;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'culvert-stock-'));
    await apply(podYaml('cart', '10.0.0.1') + podYaml('web', '10.0.0.2', { spec: 'nodeName: node2' }));
    await writeFile(
      join(root, 'policies.yaml'),
      policyYaml(
        'only-web',
        "{ rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }] }] }",
      ),
    );
    controller = await Controller.start({
      source: { directory: root, quietMs: 5 },
      mesh: settings,
      listen: { host: '127.0.0.1', port: 0 },
      authority: { directory: join(root, '.ca') },
      serving: { names: ['istiod.istio-system.svc', '127.0.0.1'] },
      nodeAccounts: ['istio-system/ztunnel'],
      authenticator: {
        authenticate: (token) =>
          Promise.resolve(
            token === 'a.b.c'
              ? { namespace: 'istio-system', serviceAccount: 'ztunnel', node: 'node1', name: 'ztunnel' }
              : undefined,
          ),
      },
      logger: silentLogger,
    });
    closing.push(() => controller.close(0));
    await eventually('the controller is ready', () => controller.ready());
  });

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await rm(root, { recursive: true, force: true });
  });

  async function apply(yaml: string): Promise<void> {
    await writeFile(join(root, 'pods.yaml.new'), yaml);
    await rename(join(root, 'pods.yaml.new'), join(root, 'pods.yaml'));
  }

  /** XDS_ADDRESS and CA_ADDRESS are `https://istiod.istio-system.svc:15012`, the root is a file's PEM. */
  function dial(): Client {
    const client = new Client(
      `127.0.0.1:${controller.address.port}`,
      credentials.createSsl(Buffer.from(controller.roots())),
      {
        'grpc.ssl_target_name_override': 'istiod.istio-system.svc',
        'grpc.default_authority': 'istiod.istio-system.svc:15012',
      },
    );
    closing.push(() => client.close());
    return client;
  }

  function headers(token = 'a.b.c'): Metadata {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    metadata.set('clusterid', 'Kubernetes');
    return metadata;
  }

  class Stream {
    readonly responses: Fields[] = [];
    readonly call: ClientDuplexStream<Buffer, Buffer>;

    constructor() {
      this.call = dial().makeBidiStreamRequest(discovery, asIs, asIs, headers());
      this.call.on('data', (bytes: Buffer) => this.responses.push(new Fields(bytes)));
      this.call.on('error', () => undefined);
    }

    of(typeUrl: string): Fields[] {
      return this.responses.filter((response) => response.text(4) === typeUrl);
    }

    async answer(typeUrl: string, index = 0): Promise<Fields> {
      await eventually(`response ${index} of ${typeUrl}`, () => this.of(typeUrl).length > index);
      return this.of(typeUrl)[index] ?? assert.fail();
    }

    ack(response: Fields): void {
      this.call.write(Buffer.concat([field(2, response.text(4)), field(6, response.text(5))]));
    }
  }

  async function synced(): Promise<{ stream: Stream; known: Map<string, Map<string, string>> }> {
    const stream = new Stream();
    stream.call.write(firstRequest(addressType));
    stream.call.write(firstRequest(authorizationType));
    const known = new Map<string, Map<string, string>>();
    for (const typeUrl of [addressType, authorizationType]) {
      const response = await stream.answer(typeUrl);
      const versions = [...resourcesOf(response)].map(([name, { version }]) => [name, version] as const);
      known.set(typeUrl, new Map(versions));
      stream.ack(response);
    }
    return { stream, known };
  }

  it('is sent the mesh in the fields it reads', async () => {
    const stream = new Stream();
    stream.call.write(firstRequest(addressType));
    stream.call.write(firstRequest(authorizationType));

    const addresses = resourcesOf(await stream.answer(addressType));
    const policies = resourcesOf(await stream.answer(authorizationType));

    const [uid, resource] = [...addresses].find(([name]) => name.endsWith('/cart')) ?? assert.fail();
    assert.equal(resource.typeUrl, addressType);
    const workload = resource.value.message(1);
    assert.deepEqual(
      [workload.text(1), workload.text(2), workload.text(7), workload.text(9), workload.text(20)],
      ['cart', 'shop', 'cart', 'node1', uid],
    );
    assert.deepEqual([...workload.bytes(3)], [10, 0, 0, 1]);
    const policy = policies.get('shop/only-web') ?? assert.fail();
    assert.equal(policy.typeUrl, authorizationType);
    const match = policy.value.message(5).message(1).message(2);
    assert.deepEqual([policy.value.text(1), policy.value.text(2)], ['only-web', 'shop']);
    assert.equal(match.message(3).text(1), 'cluster.local/ns/shop/sa/web');
    for (const response of stream.responses) assert.notEqual(response.text(5), '', 'a nonce to acknowledge');
  });

  it('is told by name what is gone, and only what has changed', async () => {
    const { stream } = await synced();
    await apply(podYaml('web', '10.0.0.2', { spec: 'nodeName: node2' }));

    const change = await stream.answer(addressType, 1);

    assert.deepEqual(
      change.texts(6).map((name) => name.split('/').at(-1)),
      ['cart'],
    );
    assert.deepEqual([...resourcesOf(change).keys()], []);
  });

  it('that rejects a response goes on to be served', async () => {
    const { stream } = await synced();
    await apply(podYaml('cart', '10.0.0.7') + podYaml('web', '10.0.0.2', { spec: 'nodeName: node2' }));
    const change = await stream.answer(addressType, 1);
    const rejection = field(7, [field(2, 'cart: decode')]);
    stream.call.write(Buffer.concat([field(2, addressType), field(6, change.text(5)), rejection]));
    await apply(podYaml('cart', '10.0.0.8') + podYaml('web', '10.0.0.2', { spec: 'nodeName: node2' }));

    const next = await stream.answer(addressType, 2);

    const [resource] = resourcesOf(next).values();
    assert.deepEqual([...(resource?.value.message(1).bytes(3) ?? [])], [10, 0, 0, 8]);
  });

  it('that comes back with the versions it holds is sent nothing again, but what changed meanwhile', async () => {
    const { stream, known } = await synced();
    stream.call.cancel();
    await apply(podYaml('web', '10.0.0.3', { spec: 'nodeName: node2' }));
    await eventually(
      'the change is published',
      () => [...(controller.snapshot()?.workloads ?? [])].length === 1,
    );

    const again = new Stream();
    again.call.write(firstRequest(addressType, known.get(addressType)));
    again.call.write(firstRequest(authorizationType, known.get(authorizationType)));
    const addresses = await again.answer(addressType);
    const policies = await again.answer(authorizationType);

    assert.deepEqual(
      [...resourcesOf(addresses).keys()].map((name) => name.split('/').at(-1)),
      ['web'],
    );
    assert.deepEqual(
      addresses.texts(6).map((name) => name.split('/').at(-1)),
      ['cart'],
    );
    assert.deepEqual([policies.all(2).length, policies.texts(6)], [0, []], 'an answer, though empty');
  });

  it('of an older release, that comes back without versions, is sent everything and told what is gone', async () => {
    const { stream, known } = await synced();
    stream.call.cancel();
    const names = [...(known.get(addressType) ?? new Map<string, string>()).keys(), 'test//Pod/shop/gone'];

    const again = new Stream();
    again.call.write(firstRequest(addressType, new Map(names.map((name) => [name, '']))));
    const addresses = await again.answer(addressType);

    assert.deepEqual([...resourcesOf(addresses).keys()].sort(), names.slice(0, -1).sort());
    assert.deepEqual(addresses.texts(6), ['test//Pod/shop/gone']);
  });

  /** As ztunnel asks: a request of its own making, the identity in it and in the metadata. */
  async function certificateFor(identity: string, token?: string): Promise<Fields> {
    const request = [
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-sha256',
    ];
    const key = join(root, 'leaf.key');
    const names = ['-subj', '/', '-addext', `subjectAltName=URI:${identity}`, '-keyout', key];
    const csr = execFileSync('openssl', [...request, ...names], { stdio: ['ignore', 'pipe', 'ignore'] });
    const message = Buffer.concat([
      field(1, csr),
      numberField(3, 86_400),
      field(4, struct({ ImpersonatedIdentity: identity })),
    ]);
    return await new Promise((resolve, reject) => {
      dial().makeUnaryRequest(createCertificate, asIs, asIs, message, headers(token), (error, bytes) => {
        if (error === null && bytes !== undefined) resolve(new Fields(bytes));
        else reject(error ?? new Error('no answer'));
      });
    });
  }

  it('gets a chain of leaf first and root last, for exactly the identity it asked for', async () => {
    const chain = (await certificateFor(cart)).texts(1);

    assert.ok(chain.length >= 2, 'it takes the last element for the roots, and fails without');
    const leaf = new X509Certificate(chain[0] ?? '');
    const anchor = new X509Certificate(chain.at(-1) ?? '');
    assert.equal(leaf.subjectAltName, `URI:${cart}`);
    assert.ok(leaf.verify(anchor.publicKey));
    assert.equal(anchor.toString(), new X509Certificate(controller.roots()).toString());
    const key = await readFile(join(root, 'leaf.key'), 'utf8');
    assert.match(key, /BEGIN PRIVATE KEY/);
    // It renews at half of the validity, counted from not-before.
    const half = (leaf.validFromDate.getTime() + leaf.validToDate.getTime()) / 2;
    assert.ok(half > Date.now() + 11 * 3_600_000, 'not at once');
    assert.ok(leaf.validFromDate.getTime() <= Date.now());
    // webpki, its verifier: purposes of both sides, and no authority as a leaf.
    assert.deepEqual(new Set(leaf.keyUsage), new Set(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']));
    assert.deepEqual([leaf.ca, anchor.ca], [false, true]);
  });

  it('gets none for a pod of another node, nor without a good token', async () => {
    const refused = (code: status) => (error: ServiceError) => error.code === code;

    await assert.rejects(
      certificateFor('spiffe://cluster.local/ns/shop/sa/web'),
      refused(status.PERMISSION_DENIED),
    );
    await assert.rejects(certificateFor(cart, 'x.y.z'), refused(status.UNAUTHENTICATED));
  });
});
