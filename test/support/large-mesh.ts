// A mesh as large as the largest that are promised: 50,000 workloads, 5,000 services, 10,000 policies. Made by counting,
// not by chance, so that two measurements are of the same mesh.
import type { Cidr, IpAddress } from '../../src/mesh/address.ts';
import type { Policy, PolicyMatch, StringMatch } from '../../src/mesh/policy.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import type { Service } from '../../src/mesh/service.ts';
import { serviceKey } from '../../src/mesh/service.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { policy, service, workload } from './mesh-objects.ts';

export interface MeshSize {
  readonly workloads: number;
  readonly services: number;
  readonly policies: number;
}

export const largest: MeshSize = { workloads: 50_000, services: 5_000, policies: 10_000 };

/** Namespaces of 100 services each; workload `n` is behind service `n % services`. */
export function largeMesh(size: MeshSize): Required<Pick<MeshUpdate, 'workloads' | 'services' | 'policies'>> {
  const services = range(size.services).map(serviceAt);
  const workloads = range(size.workloads).map((n) => workloadAt(n, services[n % size.services]));
  return { workloads, services, policies: range(size.policies).map((n) => policyAt(n, size)) };
}

/** Namespace of service `n`. */
export function namespaceAt(n: number): string {
  return `team-${Math.floor(n / 100)}`;
}

/** The address of workload `n`, the first of its two. */
export function podIpAt(n: number): IpAddress {
  return `10.${Math.floor(n / 65_536)}.${Math.floor(n / 256) % 256}.${n % 256}` as IpAddress;
}

export function serviceIpAt(n: number): IpAddress {
  return `172.16.${Math.floor(n / 256)}.${n % 256}` as IpAddress;
}

export function principalAt(n: number): string {
  return `cluster.local/ns/${namespaceAt(n)}/sa/account-${n}`;
}

export function exact(value: string): StringMatch {
  return { kind: 'exact', value };
}

export function block(address: string, length: number): Cidr {
  return { address: address as IpAddress, length };
}

export function policyOf(name: string, match: PolicyMatch, overrides: Partial<Policy> = {}): Policy {
  return policy({ name, rules: [{ clauses: [{ matches: [match] }] }], ...overrides });
}

/** A pod that hundreds of policies select: each lets one client in by its principal, a third by address too. */
export function crowdedWorkload(count: number): {
  readonly workload: Workload;
  readonly policies: readonly Policy[];
} {
  const policies = range(count).map((n) =>
    policyOf(
      `client-${n}`,
      n % 3 === 0
        ? { principals: [exact(principalAt(n))], sourceIps: [block('10.0.0.0', 8)] }
        : { principals: [exact(principalAt(n))], destinationPorts: [8080] },
      { namespace: 'crowd', scope: 'workload' },
    ),
  );
  const names = policies.map(({ namespace, name }) => `${namespace}/${name}`);
  return {
    policies,
    workload: workload({
      name: 'crowded',
      namespace: 'crowd',
      addresses: ['10.200.0.1' as IpAddress],
      policies: names,
    }),
  };
}

/** A pod under one policy with that many principals, address blocks and namespaces, of which only the last is met. */
export function longPolicyWorkload(count: number): {
  readonly workload: Workload;
  readonly policies: readonly Policy[];
} {
  const long = policyOf(
    'long',
    {
      principals: range(count).map((n) =>
        n % 4 === 3
          ? { kind: 'prefix', value: `cluster.local/ns/strangers-${n}/` }
          : exact(`cluster.local/ns/strangers/sa/${n}`),
      ),
    },
    { namespace: 'long' },
  );
  const rules = [
    ...long.rules,
    ruleOf({ sourceIps: range(count).map((n) => block(`192.${n >> 8}.${n & 255}.0`, 24)) }),
    ruleOf({
      namespaces: range(count).map((n) =>
        n % 4 === 3 ? suffix(`-strangers-${n}`) : exact(`strangers-${n}`),
      ),
    }),
    ruleOf({ serviceAccounts: [{ namespace: namespaceAt(0), serviceAccount: 'account-0' }] }),
  ];
  return {
    policies: [{ ...long, rules }],
    workload: workload({ name: 'long', namespace: 'long', addresses: ['10.200.0.2' as IpAddress] }),
  };
}

function ruleOf(match: PolicyMatch): Policy['rules'][number] {
  return { clauses: [{ matches: [match] }] };
}

function suffix(value: string): StringMatch {
  return { kind: 'suffix', value };
}

function serviceAt(n: number): Service {
  return service({
    name: `service-${n}`,
    namespace: namespaceAt(n),
    addresses: [{ network: '', ip: serviceIpAt(n) }],
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'unknown' }],
  });
}

function workloadAt(n: number, behind: Service | undefined): Workload {
  const of = behind === undefined ? n : Number(behind.name.slice('service-'.length));
  return workload({
    name: `pod-${n}`,
    namespace: behind?.namespace ?? namespaceAt(n),
    serviceAccount: `account-${of}`,
    workloadName: `service-${of}`,
    canonicalName: `service-${of}`,
    addresses: [podIpAt(n), `fd00::${n.toString(16)}` as IpAddress],
    node: `node-${n % 500}`,
    services: new Map(
      behind === undefined ? [] : [[serviceKey(behind), [{ servicePort: 80, targetPort: 8080 }]]],
    ),
    policies: n % 10 === 0 ? [`${behind?.namespace ?? namespaceAt(n)}/selected-${of % 100}`] : [],
  });
}

/** Of a hundred policies one is mesh-wide, 49 are of a namespace, the rest select workloads. */
function policyAt(n: number, size: MeshSize): Policy {
  const namespaces = Math.max(1, Math.ceil(size.services / 100));
  const namespace = `team-${n % namespaces}`;
  const client = n % Math.max(1, size.services);
  if (n % 100 === 0 && n < 2_000)
    return policyOf(
      `mesh-${n}`,
      { sourceIps: range(8).map((i) => block(`198.${i}.${n / 100}.0`, 24)) },
      { namespace: 'mesh-system', scope: 'global', action: 'deny' },
    );
  const match: PolicyMatch[] = [
    { principals: [exact(principalAt(client)), exact(principalAt(client + 1))] },
    { namespaces: [exact(namespaceAt(client))], destinationPorts: [8080, 9090] },
    { sourceIps: [block(podIpAt((n * 256) % 65_536), 24), block(`fd00:${(n % 4096).toString(16)}::`, 32)] },
    { serviceAccounts: [{ namespace: namespaceAt(client), serviceAccount: `account-${client}` }] },
  ];
  const kind = n % 4;
  if (n % 2 === 0)
    return policyOf(`here-${n}`, match[kind] ?? {}, {
      namespace,
      action: n % 10 === 0 ? 'deny' : 'allow',
      dryRun: n % 50 === 2,
    });
  return policyOf(`selected-${Math.floor(n / namespaces)}`, match[kind] ?? {}, {
    namespace,
    scope: 'workload',
  });
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}
