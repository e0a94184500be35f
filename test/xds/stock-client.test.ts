// The server towards a client that is not ours: raw gRPC messages as a stock ambient ztunnel sends them.
import assert from 'node:assert/strict';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import { DeltaDiscoveryRequestSchema } from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import { deltaRequest, deltaResponse } from '../../src/xds/grpc-methods.ts';
import { serveService, serveWorkload } from '../../src/xds/served.ts';
import { typeUrls } from '../../src/xds/types.ts';
import { service, workload } from '../support/mesh-objects.ts';
import { Harness, until } from './harness.ts';

const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const cart = workload({
  name: 'cart',
  network: 'net',
  services: new Map([['shop/cart.shop.svc.cluster.local', []]]),
});
const cartService = service({ name: 'cart', addresses: [{ network: 'net', ip: '10.96.0.1' as never }] });

function rawClient(harness: Harness): Client {
  const tls = credentials.createSsl(Buffer.from(harness.authority.rootPem));
  return new Client(harness.address, tls, { 'grpc.ssl_target_name_override': 'controller' });
}

describe('a stock client', () => {
  let harness: Harness;
  let stream: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  let responses: DeltaDiscoveryResponse[];
  let failure: ServiceError | undefined;

  const open = (headers: Record<string, string>): void => {
    const client = rawClient(harness);
    harness.onClose(() => client.close());
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    stream = client.makeBidiStreamRequest(path, deltaRequest.serialize, deltaResponse.deserialize, metadata);
    responses = [];
    failure = undefined;
    stream.on('data', (response: DeltaDiscoveryResponse) => responses.push(response));
    stream.on('error', (error: ServiceError) => (failure = error));
  };
  const send = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void => {
    stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.address, ...request }));
  };

  beforeEach(async () => {
    harness = await Harness.create();
    harness.source.set(typeUrls.address, [serveWorkload(cart), serveService(cartService)]);
    await harness.serve();
  });
  afterEach(() => harness.close());

  it('with a cluster id and a bearer token is served everything', async () => {
    open({ authorization: 'Bearer good-token', clusterid: 'Kubernetes' });
    send({ node: { id: 'ztunnel~10.0.0.9~ztunnel-x.istio-system~istio-system.svc.cluster.local' } });

    await until(() => responses.length === 1);

    assert.deepEqual(responses[0]?.resources.map((resource) => resource.name).sort(), [
      'shop/cart.shop.svc.cluster.local',
      cart.uid,
    ]);
    assert.equal(responses[0]?.resources[0]?.resource?.typeUrl, typeUrls.address);
    assert.equal(responses[0]?.typeUrl, typeUrls.address);
    assert.notEqual(responses[0]?.nonce, '');
  });

  it('asks on demand by address and gets the service, its workloads, and the name it asked by', async () => {
    open({ authorization: 'Bearer good-token' });
    send({ resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] });
    await until(() => responses.length === 1);
    assert.deepEqual(responses[0]?.resources, []);
    send({ responseNonce: responses[0]?.nonce ?? '' });

    send({ resourceNamesSubscribe: ['net/10.96.0.1', 'net/10.9.9.9'] });
    await until(() => responses.length === 2);

    assert.deepEqual(responses[1]?.resources.map((resource) => resource.name).sort(), [
      'net/10.96.0.1',
      'shop/cart.shop.svc.cluster.local',
      cart.uid,
    ]);
    assert.deepEqual(responses[1]?.removedResources, ['net/10.9.9.9']);
  });

  it('is not disturbed by its own request for a type that is not served', async () => {
    open({ authorization: 'Bearer good-token' });
    send({ typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
    send({});

    await until(() => responses.length === 1);

    assert.equal(responses[0]?.typeUrl, typeUrls.address);
  });

  it('is ended when it never acknowledges', async () => {
    await harness.serve({ limits: { ackTimeoutMs: 30 } });
    open({ authorization: 'Bearer good-token' });
    send({});

    await until(() => failure !== undefined);

    assert.equal(failure?.code, status.DEADLINE_EXCEEDED);
  });

  it('is ended when it asks for too much by name', async () => {
    await harness.serve({ limits: { namesMax: 3 } });
    open({ authorization: 'Bearer good-token' });
    send({ resourceNamesSubscribe: ['a', 'b', 'c', 'd', 'e'] });

    await until(() => failure !== undefined);

    assert.equal(failure?.code, status.RESOURCE_EXHAUSTED);
  });

  for (const [what, headers] of [
    ['no token', {}],
    ['a token that is not a bearer token', { authorization: 'Basic Z29vZC10b2tlbg==' }],
    ['an unknown token', { authorization: 'Bearer nobody' }],
  ] as const)
    it(`is refused with ${what}`, async () => {
      open(headers);
      send({});

      await until(() => failure !== undefined);

      assert.equal(failure?.code, status.UNAUTHENTICATED);
      assert.deepEqual(responses, []);
    });

  it('sends garbage and only its own stream suffers', async () => {
    const { recorder } = harness.connect();
    await until(() => recorder.synced === 1);
    const client = rawClient(harness);
    harness.onClose(() => client.close());
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer good-token');
    const junk = client.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
      metadata,
    );
    let code: number | undefined;
    junk.on('data', () => undefined);
    junk.on('error', (error: ServiceError) => (code = error.code));

    junk.write(Buffer.from('ffffffffffffffff', 'hex'));
    await until(() => code !== undefined);
    harness.source.set(typeUrls.address, [serveWorkload(cart)]);

    await until(() => recorder.addresses.length === 2);
    assert.notEqual(code, status.OK);
  });
});
