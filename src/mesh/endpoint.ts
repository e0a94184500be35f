// Which workload behind a service a connection goes to. Pure: the draw and the affinity table are the caller's.
import type { IpAddress } from './address.ts';
import { isIpv6 } from './address.ts';
import type { LoadBalancing, LocalityScope, Service } from './service.ts';
import { serviceKey } from './service.ts';
import type { Workload } from './workload.ts';

export interface Endpoint {
  readonly workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
}

/** Why a workload behind a service is not used. A name here is shown to people. */
export type EndpointRefusal =
  | 'unhealthy'
  | 'port_not_served'
  | 'no_address_of_family'
  | 'other_network'
  | 'outside_locality' // `strict`: differs in a scope that must be equal
  | 'farther_away' // `failover`: nearer ones are usable
  | 'no_capacity';

export type Candidate =
  | { readonly kind: 'usable'; readonly endpoint: Endpoint }
  | { readonly kind: 'refused'; readonly workload: Workload; readonly refusal: EndpointRefusal };

export interface EndpointQuery {
  readonly service: Service;
  readonly servicePort: number;
  /** Port for a service that has no such port; without it such a service has no endpoint. */
  readonly defaultPort?: number;
  /** Locality, node, cluster and network are compared with this one's. */
  readonly source: Workload;
  /** Of the address that was dialled: a connection keeps its family. */
  readonly ipv6: boolean;
}

/** What can be drawn from: usable endpoints and the running sum of their capacities. */
export interface EndpointSet {
  readonly endpoints: readonly Endpoint[];
  readonly cumulative: readonly number[];
  /** Most frequent refusal, if nothing is usable; absent if the service has no workload at all. */
  readonly refusal?: EndpointRefusal;
}

/** Every workload behind the service with what speaks against it, in no particular order. */
export function candidatesOf(query: EndpointQuery, workloads: readonly Workload[]): readonly Candidate[] {
  const judged = workloads.map((workload) => judge(query, workload));
  const { mode, scopes } = query.service.loadBalancing;
  if (mode !== 'failover') return judged;
  const distances = judged.map((candidate) =>
    candidate.kind === 'usable' ? distance(scopes, query.source, candidate.endpoint.workload) : Infinity,
  );
  const nearest = distances.reduce((least, each) => Math.min(least, each), Infinity);
  return judged.map((candidate, i) =>
    candidate.kind === 'usable' && (distances[i] ?? Infinity) > nearest
      ? { kind: 'refused', workload: candidate.endpoint.workload, refusal: 'farther_away' }
      : candidate,
  );
}

/** The usable ones of `candidatesOf`, ready to draw from. */
export function endpointSet(query: EndpointQuery, workloads: readonly Workload[]): EndpointSet {
  const endpoints: Endpoint[] = [];
  const cumulative: number[] = [];
  const refusals = new Map<EndpointRefusal, number>();
  let sum = 0;
  for (const candidate of candidatesOf(query, workloads)) {
    if (candidate.kind === 'usable') {
      endpoints.push(candidate.endpoint);
      cumulative.push((sum += candidate.endpoint.workload.capacity));
    } else refusals.set(candidate.refusal, (refusals.get(candidate.refusal) ?? 0) + 1);
  }
  const [refusal] = [...refusals].sort((a, b) => b[1] - a[1])[0] ?? [];
  return { endpoints, cumulative, ...(endpoints.length === 0 && refusal !== undefined && { refusal }) };
}

/** Weighted by capacity. `random` lies in [0, 1). Undefined for an empty set. */
export function drawEndpoint(set: EndpointSet, random: number): Endpoint | undefined {
  const target = random * (set.cumulative.at(-1) ?? 0);
  let low = 0;
  let high = set.cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((set.cumulative[middle] ?? 0) > target) high = middle;
    else low = middle + 1;
  }
  return set.endpoints[low];
}

/** The endpoint of a client by weighted rendezvous hashing: the same on every node and after a restart, and when an
 *  endpoint leaves only its own clients move. */
export function affineEndpoint(set: EndpointSet, client: IpAddress): Endpoint | undefined {
  let best: Endpoint | undefined;
  let bestScore = -Infinity;
  for (const endpoint of set.endpoints) {
    const unit = (hash(`${client} ${endpoint.workload.uid}`) + 1) / (2 ** 32 + 1);
    const score = -endpoint.workload.capacity / Math.log(unit);
    if (score > bestScore) [best, bestScore] = [endpoint, score];
  }
  return best;
}

/** The port on which `workload` serves a port of a service; undefined if it does not. */
export function targetPort(workload: Workload, service: Service, servicePort: number): number | undefined {
  const mappings = workload.services.get(serviceKey(service));
  const own = mappings?.find((mapping) => mapping.servicePort === servicePort)?.targetPort;
  if (own !== undefined && own !== 0) return own;
  const port = service.ports.find((each) => each.servicePort === servicePort)?.targetPort;
  return port === 0 ? undefined : port;
}

function judge(query: EndpointQuery, workload: Workload): Candidate {
  const refused = (refusal: EndpointRefusal): Candidate => ({ kind: 'refused', workload, refusal });
  const { service, source } = query;
  if (workload.network !== source.network) return refused('other_network');
  if (!workload.healthy && !service.loadBalancing.allowUnhealthy) return refused('unhealthy');
  const port = targetPort(workload, service, query.servicePort) ?? query.defaultPort;
  if (port === undefined) return refused('port_not_served');
  const ip = workload.addresses.find((address) => isIpv6(address) === query.ipv6);
  if (ip === undefined) return refused('no_address_of_family');
  if (workload.capacity <= 0) return refused('no_capacity');
  if (!isWithin(service.loadBalancing, source, workload)) return refused('outside_locality');
  return { kind: 'usable', endpoint: { workload, ip, port } };
}

function isWithin({ mode, scopes }: LoadBalancing, source: Workload, workload: Workload): boolean {
  return mode !== 'strict' || scopes.every((scope) => isEqualIn(scope, source, workload));
}

/** How many of the scopes, from the first that differs on, are not shared. 0 is nearest. */
function distance(scopes: readonly LocalityScope[], source: Workload, workload: Workload): number {
  const first = scopes.findIndex((scope) => !isEqualIn(scope, source, workload));
  return first < 0 ? 0 : scopes.length - first;
}

function isEqualIn(scope: LocalityScope, a: Workload, b: Workload): boolean {
  switch (scope) {
    case 'network':
      return a.network === b.network;
    case 'cluster':
      return a.clusterId === b.clusterId;
    case 'node':
      return a.node === b.node;
    default:
      return a.locality[scope] === b.locality[scope];
  }
}

/** FNV-1a with a final mix, so that texts that differ in their last character differ in every bit. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
