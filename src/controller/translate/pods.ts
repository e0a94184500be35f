// A pod as its peers see it: addresses, identity, where it is and whether it can be reached through a tunnel.
import type { IpAddress } from '../../mesh/address.ts';
import { isLoopback, parseIp } from '../../mesh/address.ts';
import type { Locality, Workload } from '../../mesh/workload.ts';
import type { Node, ObjectSet, Pod } from '../objects/object-set.ts';
import type { Findings } from './findings.ts';
import { canonicalNameLabels, canonicalRevisionLabels, dataplaneMode, firstOf } from './labels.ts';
import { subzoneLabels, tunnelLabel } from './labels.ts';
import type { MeshSettings } from './settings.ts';
import { workloadNameOf } from './workload-name.ts';

/** A pod with what was worked out of it; services and policies come later. */
export interface PodRecord {
  readonly pod: Pod;
  readonly uid: string;
  readonly enrolled: boolean;
  readonly addresses: readonly IpAddress[];
  readonly workload: Workload;
}

/** Pods that still run or will. Those that ended have no address and no identity any more. */
export function translatePods(
  objects: ObjectSet,
  settings: MeshSettings,
  findings: Findings,
): ReadonlyMap<string, PodRecord> {
  const enrolledNamespaces = namespacesInMesh(objects, findings);
  const records = new Map<string, PodRecord>();
  for (const [key, pod] of objects.Pod) {
    if (pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed') continue;
    const mode = dataplaneMode(pod, findings);
    const enrolled =
      !pod.spec.hostNetwork &&
      (mode === undefined ? enrolledNamespaces.has(pod.metadata.namespace) : mode === 'ambient');
    const uid = `${settings.clusterId}//Pod/${pod.metadata.namespace}/${pod.metadata.name}`;
    const addresses = addressesOf(pod, findings);
    const node = objects.Node.get(pod.spec.nodeName);
    const workload = workloadOf(pod, { uid, enrolled, addresses, node }, settings);
    records.set(key, { pod, uid, enrolled, addresses, workload });
  }
  return records;
}

/** Namespaces whose pods are in the mesh unless they say otherwise. One that cannot be read counts as one: its label
 *  may be what cannot be read, and without it its pods would speak in the clear. */
function namespacesInMesh(objects: ObjectSet, findings: Findings): ReadonlySet<string> {
  const names = new Set<string>();
  for (const namespace of objects.Namespace.values())
    if (dataplaneMode(namespace, findings) === 'ambient') names.add(namespace.metadata.name);
  for (const broken of objects.broken) if (broken.kind === 'Namespace') names.add(broken.name);
  return names;
}

function addressesOf(pod: Pod, findings: Findings): readonly IpAddress[] {
  const texts: (readonly [string, readonly (string | number)[]])[] =
    pod.status.podIPs.length > 0
      ? pod.status.podIPs.map(({ ip }, index) => [ip, ['status', 'podIPs', index, 'ip']])
      : [[pod.status.podIP ?? '', ['status', 'podIP']]];
  const addresses = new Set<IpAddress>();
  for (const [text, path] of texts) {
    if (text === '') continue;
    const address = parseIp(text);
    if (address !== undefined && !isLoopback(address)) addresses.add(address);
    else findings.error(pod, 'invalid', path, `"${text}" is not an address that a pod can have`);
  }
  return [...addresses];
}

function workloadOf(
  pod: Pod,
  known: Pick<PodRecord, 'uid' | 'enrolled' | 'addresses'> & { readonly node: Node | undefined },
  settings: MeshSettings,
): Workload {
  const { namespace, name, labels } = pod.metadata;
  const owner = workloadNameOf(pod);
  const nativeTunnel = labels[tunnelLabel] === 'http' && !pod.spec.hostNetwork;
  return {
    uid: known.uid,
    name,
    namespace,
    addresses: known.addresses,
    network: settings.network,
    tunnelProtocol: known.enrolled || nativeTunnel ? 'hbone' : 'none',
    trustDomain: settings.trustDomain,
    serviceAccount: pod.spec.serviceAccountName,
    node: pod.spec.nodeName,
    canonicalName: firstOf(labels, canonicalNameLabels)?.value ?? owner.name,
    canonicalRevision: firstOf(labels, canonicalRevisionLabels)?.value ?? 'latest',
    workloadType: owner.type,
    workloadName: owner.name,
    clusterId: settings.clusterId,
    healthy: isReady(pod),
    hostNetwork: pod.spec.hostNetwork,
    nativeTunnel,
    hostname: '',
    locality: localityOf(known.node),
    capacity: 1,
    policies: [],
    services: new Map(),
  };
}

/** A pod that is being deleted takes no new connections, whatever its probes say. */
function isReady(pod: Pod): boolean {
  if (pod.status.phase !== 'Running' || pod.metadata.deletionTimestamp !== undefined) return false;
  return pod.status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

export function localityOf(node: Node | undefined): Locality {
  const labels = node?.metadata.labels ?? {};
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: firstOf(labels, subzoneLabels)?.value ?? '',
  };
}
