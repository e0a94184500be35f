// Mesh records as fast-check makes them: every field, both families, canonical as the mesh keeps them.
import fc from 'fast-check';
import type { Cidr, IpAddress } from '../../src/mesh/address.ts';
import { cidr, ipFromBytes, isIpv6 } from '../../src/mesh/address.ts';
import type { PodSettings } from '../../src/mesh/pod-settings.ts';
import type { Policy, PolicyMatch, StringMatch } from '../../src/mesh/policy.ts';
import type { NetworkAddress, Service } from '../../src/mesh/service.ts';
import type { GatewayAddress, Workload } from '../../src/mesh/workload.ts';

/** Plain objects, as literals make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const text = fc.string({ maxLength: 12, unit: 'grapheme' });
const name = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const port = fc.integer({ min: 1, max: 65535 });
const portOrZero = fc.integer({ min: 0, max: 65535 });

const ipAddress: fc.Arbitrary<IpAddress> = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((bytes) => ipFromBytes(bytes) as IpAddress);

const block: fc.Arbitrary<Cidr> = fc
  .tuple(ipAddress, fc.nat(128))
  .map(([address, length]) => cidr(address, isIpv6(address) ? length : length % 33));

/** Blocks are shorter than a whole address: one of full length is an address. */
const networkAddress: fc.Arbitrary<NetworkAddress> = fc.oneof(
  record({ network: name, ip: ipAddress }),
  fc
    .tuple(name, ipAddress, fc.nat(127))
    .map(([network, ip, bits]) => ({ network, ...cidr(ip, isIpv6(ip) ? bits : bits % 32) }))
    // A short prefix can clear an address into one of another family (`::ffff:0:0/95`): not a block that is served.
    .filter(({ address, length }) => length <= (isIpv6(address) ? 127 : 31))
    .map(({ network, address, length }) => ({ network, ip: address, length })),
);

const gateway: fc.Arbitrary<GatewayAddress> = record({
  destination: fc.oneof(
    record({ kind: fc.constant('hostname' as const), namespace: text, hostname: name }),
    record({ kind: fc.constant('address' as const), network: text, ip: ipAddress }),
  ),
  hbonePort: port,
});

function optional<K extends string, V>(key: K, value: fc.Arbitrary<V>): fc.Arbitrary<Partial<Record<K, V>>> {
  return fc
    .option(value, { nil: undefined })
    .map((v) => (v === undefined ? {} : { [key]: v })) as fc.Arbitrary<Partial<Record<K, V>>>;
}

export const workload: fc.Arbitrary<Workload> = fc
  .tuple(
    record({
      uid: name,
      name: text,
      namespace: text,
      addresses: fc.array(ipAddress, { maxLength: 3 }),
      network: text,
      tunnelProtocol: fc.constantFrom('none' as const, 'hbone' as const),
      trustDomain: name,
      serviceAccount: name,
      node: text,
      canonicalName: text,
      canonicalRevision: text,
      workloadType: fc.constantFrom(
        'deployment' as const,
        'cronjob' as const,
        'pod' as const,
        'job' as const,
      ),
      workloadName: text,
      clusterId: text,
      healthy: fc.boolean(),
      hostNetwork: fc.boolean(),
      nativeTunnel: fc.boolean(),
      hostname: text,
      locality: record({ region: text, zone: text, subzone: text }),
      capacity: fc.nat(1000),
      policies: fc.array(text, { maxLength: 3 }),
      services: fc
        .array(
          fc.tuple(name, fc.array(record({ servicePort: port, targetPort: portOrZero }), { maxLength: 3 })),
          {
            maxLength: 3,
          },
        )
        .map((entries) => new Map(entries)),
    }),
    optional('waypoint', gateway),
    optional('networkGateway', gateway),
    optional(
      'applicationTunnel',
      record({ protocol: fc.constantFrom('none' as const, 'proxy' as const), port: portOrZero }),
    ),
  )
  .map(([base, ...extras]) => Object.assign({}, base, ...extras) as Workload);

export const service: fc.Arbitrary<Service> = fc
  .tuple(
    record({
      name: text,
      namespace: text,
      hostname: name,
      addresses: fc.array(networkAddress, { maxLength: 3 }),
      ports: fc.array(
        record({
          servicePort: port,
          targetPort: portOrZero,
          appProtocol: fc.constantFrom(...(['unknown', 'http11', 'http2', 'grpc', 'tcp', 'tls'] as const)),
        }),
        { maxLength: 3 },
      ),
      loadBalancing: fc
        .tuple(
          record({
            mode: fc.constantFrom(...(['any', 'strict', 'failover', 'passthrough'] as const)),
            scopes: fc.array(
              fc.constantFrom(...(['region', 'zone', 'subzone', 'node', 'cluster', 'network'] as const)),
              { maxLength: 3 },
            ),
            allowUnhealthy: fc.boolean(),
          }),
          optional('clientIpAffinityMs', fc.nat(86_400_000)),
        )
        .map(([base, affinity]) => ({ ...base, ...affinity })),
      subjectAltNames: fc.array(text, { maxLength: 2 }),
      canonical: fc.boolean(),
    }),
    optional('waypoint', gateway),
  )
  .map(([base, extra]) => ({ ...base, ...extra }));

const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  record({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value: text }),
  fc.constant({ kind: 'presence' as const }),
);

function some<V>(value: fc.Arbitrary<V>): fc.Arbitrary<V[]> {
  return fc.array(value, { minLength: 1, maxLength: 3 });
}

const account = record({ namespace: text, serviceAccount: text });

const match: fc.Arbitrary<PolicyMatch> = fc.record(
  {
    namespaces: some(stringMatch),
    notNamespaces: some(stringMatch),
    principals: some(stringMatch),
    notPrincipals: some(stringMatch),
    serviceAccounts: some(account),
    notServiceAccounts: some(account),
    sourceIps: some(block),
    notSourceIps: some(block),
    destinationIps: some(block),
    notDestinationIps: some(block),
    destinationPorts: some(port),
    notDestinationPorts: some(port),
  },
  { requiredKeys: [], noNullPrototype: true },
);

export const policy: fc.Arbitrary<Policy> = record({
  name: text,
  namespace: name,
  scope: fc.constantFrom('global' as const, 'namespace' as const, 'workload' as const),
  action: fc.constantFrom('allow' as const, 'deny' as const),
  rules: fc.array(
    record({
      clauses: fc.array(record({ matches: fc.array(match, { maxLength: 2 }) }), { maxLength: 2 }),
    }),
    { maxLength: 2 },
  ),
  dryRun: fc.boolean(),
});

export const pod: fc.Arbitrary<PodSettings> = record({
  uid: name,
  namespace: text,
  name: text,
  serviceAccount: name,
  trustDomain: name,
  enrolled: fc.boolean(),
  probePorts: fc.array(port, { maxLength: 3 }),
  nodeAddresses: fc.array(ipAddress, { maxLength: 3 }),
  exclusions: record({
    inboundPorts: fc.array(port, { maxLength: 3 }),
    outboundPorts: fc.array(port, { maxLength: 3 }),
    inboundCidrs: fc.array(block, { maxLength: 3 }),
    outboundCidrs: fc.array(block, { maxLength: 3 }),
  }),
});
