import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { decodePod } from '../../src/xds/codec-pod.ts';
import { decodePolicy } from '../../src/xds/codec-policy.ts';
import { decodeService } from '../../src/xds/codec-service.ts';
import { decodeWorkload } from '../../src/xds/codec-workload.ts';
import { attempt } from '../../src/xds/decoded.ts';
import { PodSchema } from '../../src/xds/generated/culvert/node/pod_pb.ts';
import { AuthorizationSchema } from '../../src/xds/generated/istio/security/authorization_pb.ts';
import {
  AddressSchema,
  ServiceSchema,
  WorkloadSchema,
} from '../../src/xds/generated/istio/workload/workload_pb.ts';
import { servePod, servePolicy, serveService, serveWorkload } from '../../src/xds/served.ts';
import { service as makeService, workload as makeWorkload } from '../support/mesh-objects.ts';
import * as any from './arbitraries.ts';

const valid = (init: MessageInitShape<typeof WorkloadSchema>): MessageInitShape<typeof WorkloadSchema> => ({
  uid: 'u',
  ...init,
});

describe('a mesh record on the wire', () => {
  it('brings back the workload that was sent', () => {
    fc.assert(
      fc.property(any.workload, (workload) => {
        const { type } = fromBinary(AddressSchema, serveWorkload(workload).bytes);
        assert.equal(type.case, 'workload');
        assert.deepEqual(decodeWorkload(type.value), workload);
      }),
    );
  });

  it('brings back the service that was sent', () => {
    fc.assert(
      fc.property(any.service, (service) => {
        const { type } = fromBinary(AddressSchema, serveService(service).bytes);
        assert.equal(type.case, 'service');
        assert.deepEqual(decodeService(type.value), service);
      }),
    );
  });

  it('brings back the policy that was sent', () => {
    fc.assert(
      fc.property(any.policy, (policy) => {
        const served = servePolicy(policy);
        assert.deepEqual(decodePolicy(served.name, served.bytes), { policy });
      }),
    );
  });

  it('brings back the pod settings that were sent', () => {
    fc.assert(
      fc.property(any.pod, (pod) => {
        assert.deepEqual(decodePod(fromBinary(PodSchema, servePod(pod).bytes)), pod);
      }),
    );
  });

  it('has the same version for the same content, in whatever order its services were added', () => {
    const ports = [{ servicePort: 80, targetPort: 8080 }];
    const one = makeWorkload({
      name: 'cart',
      services: new Map([
        ['a/x', ports],
        ['b/y', ports],
      ]),
    });
    const two = makeWorkload({
      name: 'cart',
      services: new Map([
        ['b/y', ports],
        ['a/x', ports],
      ]),
    });

    assert.equal(serveWorkload(one).version, serveWorkload(two).version);
    assert.notEqual(serveWorkload(one).version, serveWorkload({ ...one, healthy: false }).version);
  });

  it('may be asked for by its addresses, and a workload comes with its services', () => {
    const workload = serveWorkload(
      makeWorkload({ name: 'cart', network: 'net', services: new Map([['shop/c', []]]) }),
    );
    const service = serveService(makeService({ name: 'cart' }));

    assert.deepEqual(workload.aliases, ['net/10.0.0.1']);
    assert.deepEqual(workload.broughtBy, ['shop/c']);
    assert.deepEqual(service.aliases, ['/10.96.0.1']);
  });
});

describe('a resource with fields left out', () => {
  it('is of the default trust domain and service account, weighs 1 and is healthy', () => {
    const workload = decodeWorkload(create(WorkloadSchema, { uid: 'u' }));

    assert.equal(workload.trustDomain, 'cluster.local');
    assert.equal(workload.serviceAccount, 'default');
    assert.equal(workload.capacity, 1);
    assert.equal(workload.healthy, true);
    assert.equal(workload.tunnelProtocol, 'none');
  });

  it('keeps an explicit weight of 0', () => {
    assert.equal(decodeWorkload(create(WorkloadSchema, { uid: 'u', capacity: 0 })).capacity, 0);
  });

  it('balances over all endpoints that are ready', () => {
    const { loadBalancing } = decodeService(create(ServiceSchema, { hostname: 'h' }));

    assert.deepEqual(loadBalancing, { mode: 'any', scopes: [], allowUnhealthy: false });
  });

  it('is reached through its heaviest waypoint if it has weighted ones alone', () => {
    const to = (hostname: string): MessageInitShape<typeof ServiceSchema>['waypoint'] => ({
      destination: { case: 'hostname', value: { namespace: 'n', hostname } },
      hboneMtlsPort: 15008,
    });
    const message = create(ServiceSchema, {
      hostname: 'h',
      weightedWaypoints: [
        { weight: 10, destination: to('light')! },
        { weight: 90, destination: to('heavy')! },
      ],
    });

    const { waypoint } = decodeService(message);

    assert.deepEqual(waypoint?.destination, { kind: 'hostname', namespace: 'n', hostname: 'heavy' });
  });
});

describe('a resource that cannot be understood', () => {
  const four = Uint8Array.of(10, 0, 0, 1);
  const broken: [string, MessageInitShape<typeof WorkloadSchema>, string][] = [
    ['an empty uid', { uid: '' }, 'uid'],
    ['an address of 5 bytes', valid({ addresses: [Uint8Array.of(1, 2, 3, 4, 5)] }), 'addresses'],
    ['an unknown tunnel protocol', valid({ tunnelProtocol: 9 as never }), 'tunnel_protocol'],
    ['an unknown status', valid({ status: 7 as never }), 'status'],
    ['an unknown network mode', valid({ networkMode: 7 as never }), 'network_mode'],
    ['a waypoint without a place', valid({ waypoint: { hboneMtlsPort: 15008 } }), 'waypoint.destination'],
    [
      'a waypoint port above 65535',
      valid({
        waypoint: { hboneMtlsPort: 70_000, destination: { case: 'address', value: { address: four } } },
      }),
      'waypoint.hbone_mtls_port',
    ],
    [
      'a port above 65535',
      valid({ services: { 'a/b': { ports: [{ servicePort: 70_000 }] } } }),
      'services[a/b]',
    ],
    [
      'an unknown application tunnel',
      valid({ applicationTunnel: { protocol: 5 as never } }),
      'application_tunnel.protocol',
    ],
  ];
  for (const [what, init, field] of broken)
    it(`is reported with its field: a workload with ${what}`, () => {
      const outcome = attempt('w', () => decodeWorkload(create(WorkloadSchema, init)));

      assert.equal(outcome.kind, 'invalid');
      assert.equal(outcome.problem.field, field);
      assert.equal(outcome.problem.name, 'w');
    });

  it('is reported with its field: a service with an unknown balancing mode', () => {
    const message = create(ServiceSchema, { hostname: 'h', loadBalancing: { mode: 9 as never } });

    const outcome = attempt('s', () => decodeService(message));

    assert.equal(outcome.kind === 'invalid' && outcome.problem.field, 'load_balancing.mode');
  });

  it('passes when only telemetry is unknown', () => {
    assert.equal(
      decodeWorkload(create(WorkloadSchema, { uid: 'u', workloadType: 77 as never })).workloadType,
      'pod',
    );
  });
});

describe('a policy that cannot be understood', () => {
  const denyAll = [{ clauses: [{ matches: [] }] }];
  const encode = (init: MessageInitShape<typeof AuthorizationSchema>): Uint8Array =>
    toBinary(AuthorizationSchema, create(AuthorizationSchema, { name: 'p', namespace: 'shop', ...init }));
  const withMatch = (match: object): MessageInitShape<typeof AuthorizationSchema> => ({
    scope: 1,
    rules: [{ clauses: [{ matches: [match] }] }],
  });
  const cases: [string, Uint8Array, string, string][] = [
    ['an unknown action', encode({ scope: 1, action: 5 as never }), 'namespace', 'action'],
    ['an unknown scope', encode({ scope: 9 as never }), 'namespace', 'scope'],
    [
      'a string match of no kind',
      encode(withMatch({ principals: [{}] })),
      'namespace',
      'rules[0].clauses[0].matches[0].principals',
    ],
    [
      'a block longer than its address',
      encode(withMatch({ sourceIps: [{ address: Uint8Array.of(1, 2, 3, 4), length: 33 }] })),
      'namespace',
      'rules[0].clauses[0].matches[0].source_ips',
    ],
    [
      'a block of 3 bytes',
      encode({ ...withMatch({ notSourceIps: [{ address: Uint8Array.of(1, 2, 3) }] }), scope: 2 }),
      'workload',
      'rules[0].clauses[0].matches[0].not_source_ips',
    ],
    [
      'an extension of a match',
      encode(withMatch({ extensions: [{ name: 'x' }] })),
      'namespace',
      'rules[0].clauses[0].matches[0].extensions',
    ],
    ['another name within', encode({ name: 'other' }), 'global', 'name'],
    ['bytes that are no message', Uint8Array.of(0xff, 0xff, 0xff), 'namespace', ''],
  ];
  for (const [what, bytes, scope, field] of cases)
    it(`denies all within its scope: ${what}`, () => {
      const { policy, problem } = decodePolicy('shop/p', bytes);

      assert.deepEqual(policy, {
        name: 'p',
        namespace: 'shop',
        scope,
        action: 'deny',
        rules: denyAll,
        dryRun: false,
      });
      assert.equal(problem?.name, 'shop/p');
      assert.equal(problem?.field, field);
    });

  it('denies all if a later version has added a condition to a match', () => {
    // Field 99 of Match, as a newer sender would write it.
    const match = Uint8Array.of(0x9a, 0x06, 0x01, 0x41);
    const clause = Uint8Array.of(0x12, match.length, ...match);
    const rule = Uint8Array.of(0x0a, clause.length, ...clause);
    const bytes = Buffer.concat([encode({ scope: 1 }), Uint8Array.of(0x2a, rule.length, ...rule)]);

    const { policy, problem } = decodePolicy('shop/p', bytes);

    assert.equal(policy.action, 'deny');
    assert.match(problem?.reason ?? '', /number 99/);
  });

  it('stays a dry run if it was one', () => {
    const { policy } = decodePolicy('shop/p', encode({ scope: 1, action: 5 as never, dryRun: true }));

    assert.equal(policy.dryRun, true);
  });

  it('never takes hostile bytes for more than a denial', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const { policy, problem } = decodePolicy('shop/p', bytes);
        assert.ok(problem === undefined || policy.action === 'deny');
      }),
    );
  });
});
