// What arrives on the control channel, at either end, with bits turned and pieces missing.
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { TypeSubscription } from '../../src/xds/delta.ts';
import type { DeltaDiscoveryResponse } from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import { receiveAddresses, receivePods, receivePolicies } from '../../src/xds/received.ts';
import { servePod, servePolicy, serveService, serveWorkload } from '../../src/xds/served.ts';
import { paths } from '../../src/xds/grpc-methods.ts';
import type { ServedResource } from '../../src/xds/types.ts';
import { typeUrls } from '../../src/xds/types.ts';
import { workload as makeWorkload } from '../support/mesh-objects.ts';
import {
  anyText,
  brokenBytes,
  check,
  checkAsync,
  propertyTimeoutMs,
  thrownBy,
} from '../support/properties.ts';
import { field, numberField } from '../support/protobuf-wire.ts';
import * as any from './arbitraries.ts';
import { Harness, until } from './harness.ts';

function response(
  ...resources: readonly { readonly name: string; readonly bytes: Uint8Array }[]
): DeltaDiscoveryResponse {
  return create(DeltaDiscoveryResponseSchema, {
    resources: resources.map(({ name, bytes }) => ({ name, resource: { value: bytes } })),
  });
}

describe('a response with a broken resource in it', () => {
  const types = [
    ['workload', any.workload.map(serveWorkload), receiveAddresses, 'workloads'],
    ['service', any.service.map(serveService), receiveAddresses, 'services'],
    ['pod', any.pod.map(servePod), receivePods, 'pods'],
    ['policy', any.policy.map(servePolicy), receivePolicies, 'policies'],
  ] as const;

  for (const [what, served, receive, list] of types)
    it(`brings its other resources all the same: ${what}`, () => {
      const resource: fc.Arbitrary<ServedResource> = served;
      const damaged = resource.chain((good) =>
        fc.tuple(fc.constant(good.name), brokenBytes(fc.constant(good.bytes))),
      );
      check(
        fc.property(resource, damaged, (good, [name, bytes]) => {
          const alone = receive(response(good));
          const { update, problems } = receive(response({ name, bytes }, good));
          const found = (update as unknown as Record<string, readonly unknown[]>)[list] ?? [];
          assert.deepEqual(
            found.at(-1),
            (alone.update as unknown as Record<string, readonly unknown[]>)[list]?.[0],
          );
          assert.deepEqual(alone.problems, []);
          // Every problem says of which resource and why.
          for (const problem of problems) assert.ok(problem.name === name && problem.reason !== '');
        }),
        300,
      );
    }).timeout(propertyTimeoutMs());

  it('denies with a policy that cannot be understood, and with nothing else', () => {
    const damaged = any.policy.chain((policy) => brokenBytes(fc.constant(servePolicy(policy).bytes)));
    check(
      fc.property(damaged, (bytes) => {
        const { update, problems } = receivePolicies(response({ name: 'shop/p', bytes }));
        const [policy] = update.policies;
        assert.equal(update.policies.length, 1);
        if (problems.length > 0)
          assert.deepEqual([policy?.action, policy?.rules], ['deny', [{ clauses: [{ matches: [] }] }]]);
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());

  it('that is nested without end is refused as one resource', () => {
    let bytes = numberField(4, 1);
    for (let i = 0; i < 10_000; i += 1) bytes = Buffer.concat([Buffer.of(0x0b), bytes]); // groups within groups

    assert.equal(receiveAddresses(response({ name: 'a', bytes })).problems.length, 1);
    assert.equal(receivePolicies(response({ name: 'a/b', bytes })).update.policies[0]?.action, 'deny');
  });
});

describe('a client’s request', () => {
  const name = fc.oneof(fc.constantFrom('a', 'b', '*', '__proto__', 'constructor', 'toString', ''), anyText);
  const request = fc.record({
    subscribe: fc.array(name, { maxLength: 4 }),
    unsubscribe: fc.array(name, { maxLength: 4 }),
    initialVersions: fc.dictionary(name, fc.constantFrom('', '1'), { maxKeys: 3 }),
    nonce: fc.constantFrom('', '1', '2', 'x'),
  });
  const current = new Map<string, ServedResource>(
    ['a', 'toString'].map((each) => [
      each,
      { name: each, aliases: [], version: '1', bytes: new Uint8Array() },
    ]),
  );

  it('is answered for every name it asks for and does not hold, whatever the name', () => {
    check(
      fc.property(request, (first) => {
        const subscription = new TypeSubscription({ namesMax: 100, bytesMax: 1_000_000 });
        subscription.receive(first);
        const push = subscription.next(current);
        const answered = new Set([
          ...(push?.changed ?? []).map((entry) => entry.name),
          ...(push?.removed ?? []),
        ]);
        for (const each of first.subscribe) {
          const held = Object.hasOwn(first.initialVersions, each) && first.initialVersions[each] !== '';
          if (each !== '*' && !held && !first.unsubscribe.includes(each)) assert.ok(answered.has(each), each);
        }
      }),
      500,
    );
  });

  it('for a resource called `constructor` is answered', () => {
    const subscription = new TypeSubscription({ namesMax: 100, bytesMax: 1_000_000 });
    const written = create(DeltaDiscoveryRequestSchema, { resourceNamesSubscribe: ['constructor'] });
    const { resourceNamesSubscribe: subscribe, initialResourceVersions: initialVersions } = fromBinary(
      DeltaDiscoveryRequestSchema,
      toBinary(DeltaDiscoveryRequestSchema, written),
    );

    subscription.receive({ subscribe, unsubscribe: [], initialVersions, nonce: '' });

    assert.deepEqual(subscription.next(new Map())?.removed, ['constructor']);
  });

  it('in any order is taken without an error, and at most one response is outstanding', () => {
    check(
      fc.property(fc.array(request, { maxLength: 8 }), (requests) => {
        const subscription = new TypeSubscription({ namesMax: 5, bytesMax: 1 });
        for (const each of requests) {
          subscription.receive(each);
          const before = subscription.outstanding;
          const push = subscription.next(current);
          assert.ok(before === undefined || push === undefined);
        }
      }),
      300,
    );
  });

  it('is decoded or refused, however deep its metadata is', () => {
    let value = numberField(4, 1);
    for (let i = 0; i < 5_000; i += 1) value = field(6, [field(1, [value])]);
    const deep = field(1, [field(3, [field(1, [field(1, 'k'), field(2, [value])])])]);

    assert.match(String(thrownBy(() => fromBinary(DeltaDiscoveryRequestSchema, deep))), /recursion depth/);
  });
});

describe('a server of the control channel', () => {
  let harness: Harness;
  let client: Client;
  before(async () => {
    harness = await Harness.create();
    await harness.serve();
    harness.source.set(typeUrls.address, [serveWorkload(makeWorkload({ name: 'cart' }))]);
    client = new Client(harness.address, credentials.createSsl(Buffer.from(harness.authority.rootPem)), {
      'grpc.ssl_target_name_override': 'controller',
    });
  });
  after(async () => {
    client.close();
    await harness.close();
  });

  /** Writes messages as they are and resolves to the status with which the stream ends. */
  async function send(path: string, messages: readonly Uint8Array[]): Promise<number> {
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer good-token');
    const asTheyAre = (bytes: Buffer): Buffer => bytes;
    const stream = client.makeBidiStreamRequest(path, asTheyAre, asTheyAre, metadata);
    const ended = new Promise<number>((resolve) => {
      stream.on('status', ({ code }: { readonly code: number }) => resolve(code));
    });
    stream.on('error', () => undefined).on('data', () => undefined);
    for (const message of messages) stream.write(Buffer.from(message));
    stream.end();
    return ended;
  }

  it('ends a stream of junk with a status, and serves the next client', async () => {
    const request = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        node: { id: 'ztunnel~1.1.1.1~a.b~c', metadata: { a: [1, { b: 'c' }] } },
        typeUrl: typeUrls.address,
        resourceNamesSubscribe: ['*', 'a'],
        initialResourceVersions: { a: '1' },
        errorDetail: { code: 3, message: 'no' },
      }),
    );
    const junk = fc.array(fc.oneof(brokenBytes(fc.constant(request)), fc.uint8Array({ maxLength: 50 })), {
      minLength: 1,
      maxLength: 3,
    });
    await checkAsync(
      fc.asyncProperty(
        fc.constantFrom(paths.delta, paths.createCertificate),
        junk,
        async (path, messages) => {
          const code = await send(path, messages);
          assert.ok(code >= 0 && code <= 16);
        },
      ),
      100,
    );
    assert.equal(await send(paths.delta, [request]), status.OK);
    const { client: good, recorder } = harness.connect();
    await until(() => recorder.synced === 1, 'a good client is served');
    assert.equal(good.status().resources.addresses, 1);
  }).timeout(propertyTimeoutMs());
});
