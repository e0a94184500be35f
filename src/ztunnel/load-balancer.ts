// Draws endpoints, and remembers what is costly to work out again: the usable endpoints of a service as seen from a
// workload, while none of those changes, and which endpoint a client of a service with affinity had last.
import type { IpAddress } from '../mesh/address.ts';
import { isIpv6 } from '../mesh/address.ts';
import type { Endpoint, EndpointQuery, EndpointSet } from '../mesh/endpoint.ts';
import { affineEndpoint, drawEndpoint, endpointSet } from '../mesh/endpoint.ts';
import type { Service } from '../mesh/service.ts';
import { serviceKey } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';

export interface LoadBalancerOptions {
  readonly clock: Clock;
  /** 0..1, injected in tests. */
  readonly random?: () => number;
  /** Sets kept, and clients with affinity kept; beyond them the oldest is forgotten. */
  readonly setsMax?: number;
  readonly affinitiesMax?: number;
}

/** What routing asks: one endpoint, or the set that had none to give. */
export interface EndpointPicker {
  pick(snapshot: MeshSnapshot, query: EndpointQuery, client: IpAddress): Endpoint | undefined;
  endpoints(snapshot: MeshSnapshot, query: EndpointQuery): EndpointSet;
}

/** A set and the records it was made of: those are new objects when anything in them changes. */
interface KnownSet {
  readonly set: EndpointSet;
  readonly service: Service;
  readonly source: Workload;
  readonly workloads: readonly Workload[];
}

export class LoadBalancer implements EndpointPicker {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #setsMax: number;
  readonly #affinitiesMax: number;
  readonly #sets = new Map<string, KnownSet>();
  /** `service client` -> uid, least recently used first. */
  readonly #affinities = new Map<string, { readonly uid: string; readonly untilMs: number }>();

  constructor(options: LoadBalancerOptions) {
    this.#clock = options.clock;
    this.#random = options.random ?? Math.random;
    this.#setsMax = options.setsMax ?? 4096;
    this.#affinitiesMax = options.affinitiesMax ?? 65_536;
  }

  endpoints(snapshot: MeshSnapshot, query: EndpointQuery): EndpointSet {
    const { service, source } = query;
    const name = serviceKey(service);
    const key = `${name} ${query.servicePort} ${query.defaultPort ?? ''} ${query.ipv6} ${source.uid}`;
    const workloads = snapshot.endpointsOf(name);
    const known = this.#sets.get(key);
    if (known?.workloads === workloads && known.service === service && known.source === source)
      return known.set;
    const set = endpointSet(query, workloads);
    if (known === undefined) evictOldest(this.#sets, this.#setsMax);
    this.#sets.set(key, { set, service, source, workloads });
    return set;
  }

  pick(snapshot: MeshSnapshot, query: EndpointQuery, client: IpAddress): Endpoint | undefined {
    const set = this.endpoints(snapshot, query);
    const affinityMs = query.service.loadBalancing.clientIpAffinityMs;
    if (affinityMs === undefined) return drawEndpoint(set, this.#random());
    return this.#affine(set, `${serviceKey(query.service)} ${client}`, client, affinityMs);
  }

  #affine(set: EndpointSet, key: string, client: IpAddress, affinityMs: number): Endpoint | undefined {
    const now = this.#clock.monotonic();
    const kept = this.#affinities.get(key);
    const same =
      kept !== undefined && kept.untilMs > now
        ? set.endpoints.find(({ workload }) => workload.uid === kept.uid)
        : undefined;
    const endpoint = same ?? affineEndpoint(set, client);
    this.#affinities.delete(key);
    if (endpoint === undefined) return undefined;
    evictOldest(this.#affinities, this.#affinitiesMax);
    this.#affinities.set(key, { uid: endpoint.workload.uid, untilMs: now + affinityMs });
    return endpoint;
  }
}

/** The family a connection to `address` keeps. */
export function familyOf(address: IpAddress): { readonly ipv6: boolean } {
  return { ipv6: isIpv6(address) };
}

function evictOldest<V>(map: Map<string, V>, max: number): void {
  if (map.size < max) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
