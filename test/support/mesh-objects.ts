// Mesh records with everything filled in, so that a test names only what it is about.
import { ip } from '../../src/mesh/address.ts';
import type { Policy } from '../../src/mesh/policy.ts';
import type { Service } from '../../src/mesh/service.ts';
import type { Workload } from '../../src/mesh/workload.ts';

export function workload(overrides: Partial<Workload> & { readonly name: string }): Workload {
  const namespace = overrides.namespace ?? 'shop';
  return {
    uid: `test//Pod/${namespace}/${overrides.name}`,
    namespace,
    addresses: [ip('10.0.0.1')],
    network: '',
    tunnelProtocol: 'hbone',
    trustDomain: 'cluster.local',
    serviceAccount: overrides.name,
    node: 'node1',
    canonicalName: overrides.name,
    canonicalRevision: 'latest',
    workloadType: 'pod',
    workloadName: overrides.name,
    clusterId: 'test',
    healthy: true,
    hostNetwork: false,
    nativeTunnel: false,
    hostname: '',
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
    policies: [],
    services: new Map(),
    ...overrides,
  };
}

export function service(overrides: Partial<Service> & { readonly name: string }): Service {
  const namespace = overrides.namespace ?? 'shop';
  return {
    namespace,
    hostname: `${overrides.name}.${namespace}.svc.cluster.local`,
    addresses: [{ network: '', ip: ip('10.96.0.1') }],
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'unknown' }],
    loadBalancing: { mode: 'any', scopes: [], allowUnhealthy: false },
    subjectAltNames: [],
    canonical: true,
    ...overrides,
  };
}

export function policy(overrides: Partial<Policy> & { readonly name: string }): Policy {
  return { namespace: 'shop', scope: 'namespace', action: 'allow', rules: [], dryRun: false, ...overrides };
}
