// Who serves a service, and on which ports. EndpointSlices say so where there are any; else the selector does.
import type { IpAddress } from '../../mesh/address.ts';
import { isLoopback, parseIp } from '../../mesh/address.ts';
import type { ServicePortMapping, Workload } from '../../mesh/workload.ts';
import type { EndpointSlice, ObjectSet, Pod } from '../objects/object-set.ts';
import type { EndpointSpec } from '../objects/service.ts';
import type { Findings } from './findings.ts';
import type { LabelIndex } from './label-index.ts';
import { serviceNameLabel } from './labels.ts';
import { namedPort } from './pod-settings.ts';
import type { PodRecord } from './pods.ts';
import { localityOf } from './pods.ts';
import type { ServiceRecord } from './services.ts';
import { tcpPorts } from './services.ts';
import type { MeshSettings } from './settings.ts';

/** service key -> ports, in the order of keys: records compare equal whatever the order of objects was. */
export type Memberships = ReadonlyMap<string, readonly ServicePortMapping[]>;

export interface Endpoints {
  /** What each pod serves, by uid. */
  readonly ofPods: ReadonlyMap<string, Memberships>;
  /** Addresses of hand-made slices that belong to no pod. */
  readonly strangers: readonly Workload[];
}

interface World {
  readonly objects: ObjectSet;
  readonly pods: ReadonlyMap<string, PodRecord>;
  readonly labels: LabelIndex<Pod>;
  readonly settings: MeshSettings;
  readonly findings: Findings;
}

/** Works out the endpoints of all services. */
export function translateEndpoints(services: ReadonlyMap<string, ServiceRecord>, world: World): Endpoints {
  const slices = slicesByService(world);
  const members = new MemberTable();
  const strangers = new StrangerTable(world);
  const byAddress = podsByAddress(world.pods.values());
  const byName = [...services].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, record] of byName) {
    const own = slices.get(name);
    if (own === undefined) selectPods(record, world, members);
    else for (const slice of own) readSlice(slice, record, { world, members, strangers, byAddress });
  }
  return { ofPods: members.result(), strangers: strangers.result() };
}

function slicesByService({ objects }: World): ReadonlyMap<string, readonly EndpointSlice[]> {
  const found = new Map<string, EndpointSlice[]>();
  for (const slice of objects.EndpointSlice.values()) {
    const service = slice.metadata.labels[serviceNameLabel];
    if (service === undefined) continue;
    const key = `${slice.metadata.namespace}/${service}`;
    found.set(key, [...(found.get(key) ?? []), slice]);
  }
  for (const list of found.values()) list.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return found;
}

function podsByAddress(records: Iterable<PodRecord>): ReadonlyMap<IpAddress, readonly PodRecord[]> {
  const found = new Map<IpAddress, PodRecord[]>();
  for (const record of records)
    if (!record.pod.spec.hostNetwork)
      for (const address of record.addresses) found.set(address, [...(found.get(address) ?? []), record]);
  return found;
}

function selectPods(record: ServiceRecord, world: World, members: MemberTable): void {
  const { selector } = record.spec.spec;
  const { namespace } = record.spec.metadata;
  if (Object.keys(selector).length === 0) return;
  for (const pod of world.labels.select(namespace, selector)) {
    const found = world.pods.get(`${namespace}/${pod.metadata.name}`);
    if (found !== undefined && found.addresses.length > 0)
      members.add(found.uid, record.key, portsOfPod(record, pod));
  }
}

/** A named target port is whatever the pod calls by that name; a pod without it does not serve the port. */
function portsOfPod(record: ServiceRecord, pod: Pod): readonly ServicePortMapping[] {
  const mappings: ServicePortMapping[] = [];
  for (const { port, targetPort } of tcpPorts(record.spec)) {
    const target = typeof targetPort === 'string' ? portNamed(pod, targetPort) : (targetPort ?? port);
    if (target !== undefined) mappings.push({ servicePort: port, targetPort: target });
  }
  return mappings;
}

function portNamed(pod: Pod, name: string): number | undefined {
  const sidecars = pod.spec.initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...pod.spec.containers, ...sidecars]) {
    const found = namedPort(container, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface SliceContext {
  readonly world: World;
  readonly members: MemberTable;
  readonly strangers: StrangerTable;
  readonly byAddress: ReadonlyMap<IpAddress, readonly PodRecord[]>;
}

function readSlice(slice: EndpointSlice, record: ServiceRecord, context: SliceContext): void {
  const { findings, pods } = context.world;
  if (slice.addressType === 'FQDN') {
    findings.warning(
      slice,
      'unsupported-value',
      ['addressType'],
      'FQDN endpoints are not handled by this version',
    );
    return;
  }
  const mappings = portsOfSlice(slice, record);
  slice.endpoints.forEach((endpoint, index) => {
    const { targetRef } = endpoint;
    if (targetRef?.kind === 'Pod') {
      const found = pods.get(`${targetRef.namespace ?? slice.metadata.namespace}/${targetRef.name}`);
      if (found !== undefined) context.members.add(found.uid, record.key, mappings);
      return;
    }
    endpoint.addresses.forEach((text, at) => {
      const address = parseIp(text);
      if (address === undefined || isLoopback(address)) {
        const message = `"${text}" is not an address that an endpoint can have`;
        findings.error(slice, 'invalid', ['endpoints', index, 'addresses', at], message);
        return;
      }
      const owners = context.byAddress.get(address) ?? [];
      for (const owner of owners) context.members.add(owner.uid, record.key, mappings);
      if (owners.length === 0) context.strangers.add(slice, endpoint, address, record.key, mappings);
    });
  });
}

/** Ports of a slice and of its service belong together by name. */
function portsOfSlice(slice: EndpointSlice, record: ServiceRecord): readonly ServicePortMapping[] {
  const mappings: ServicePortMapping[] = [];
  for (const { name, port } of tcpPorts(record.spec)) {
    const target = slice.ports.find(
      (candidate) => candidate.name === name && candidate.protocol === 'TCP',
    )?.port;
    if (target !== undefined) mappings.push({ servicePort: port, targetPort: target });
  }
  return mappings;
}

/** Ports that each workload serves of each service; several slices may say a part each, and the first one counts. */
class MemberTable {
  readonly #table = new Map<string, Map<string, Map<number, number>>>();

  add(uid: string, service: string, mappings: readonly ServicePortMapping[]): void {
    let services = this.#table.get(uid);
    if (services === undefined) this.#table.set(uid, (services = new Map()));
    let ports = services.get(service);
    if (ports === undefined) services.set(service, (ports = new Map()));
    for (const { servicePort, targetPort } of mappings)
      if (!ports.has(servicePort)) ports.set(servicePort, targetPort);
  }

  of(uid: string): Memberships {
    const services = [...(this.#table.get(uid) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return new Map(
      services.map(([service, ports]) => [
        service,
        [...ports]
          .sort(([a], [b]) => a - b)
          .map(([servicePort, targetPort]) => ({ servicePort, targetPort })),
      ]),
    );
  }

  result(): ReadonlyMap<string, Memberships> {
    return new Map([...this.#table.keys()].map((uid) => [uid, this.of(uid)]));
  }
}

/** One workload per address and namespace, however many slices and services name it. */
class StrangerTable {
  readonly #world: World;
  readonly #members = new MemberTable();
  readonly #workloads = new Map<string, Workload>();

  constructor(world: World) {
    this.#world = world;
  }

  add(
    slice: EndpointSlice,
    endpoint: EndpointSpec,
    address: IpAddress,
    service: string,
    mappings: readonly ServicePortMapping[],
  ): void {
    const key = `${slice.metadata.namespace}/${address}`;
    const known = this.#workloads.get(key);
    const healthy = endpoint.conditions.ready ?? true;
    const next =
      known === undefined
        ? this.#make(slice, endpoint, address)
        : { ...known, healthy: known.healthy || healthy };
    this.#workloads.set(key, next);
    this.#members.add(key, service, mappings);
  }

  result(): readonly Workload[] {
    return [...this.#workloads].map(([key, workload]) => ({ ...workload, services: this.#members.of(key) }));
  }

  #make(slice: EndpointSlice, endpoint: EndpointSpec, address: IpAddress): Workload {
    const { settings, objects } = this.#world;
    const { namespace, labels } = slice.metadata;
    const name = labels[serviceNameLabel] ?? slice.metadata.name;
    const node = objects.Node.get(endpoint.nodeName ?? '');
    const locality = localityOf(node);
    return {
      uid: `${settings.clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${address}`,
      name,
      namespace,
      addresses: [address],
      network: settings.network,
      tunnelProtocol: 'none',
      trustDomain: settings.trustDomain,
      serviceAccount: 'default',
      node: endpoint.nodeName ?? '',
      canonicalName: name,
      canonicalRevision: 'latest',
      workloadType: 'pod',
      workloadName: name,
      clusterId: settings.clusterId,
      healthy: endpoint.conditions.ready ?? true,
      hostNetwork: false,
      nativeTunnel: false,
      hostname: '',
      locality: endpoint.zone === undefined ? locality : { ...locality, zone: endpoint.zone },
      capacity: 1,
      policies: [],
      services: new Map(),
    };
  }
}
