// Everything a node knows, at one instant. A snapshot never changes: an update makes the next one, and a decision
// that has taken one sees the same mesh from its first look to its last.
import type { IpAddress } from './address.ts';
import { cidr, isIpv6 } from './address.ts';
import type { Policy } from './policy.ts';
import { policiesOf } from './policy-lists.ts';
import { policyKey } from './policy.ts';
import type { Service } from './service.ts';
import { serviceKey } from './service.ts';
import { ShardedMap } from './sharded-map.ts';
import type { Workload } from './workload.ts';

/** A change of the mesh: what is new or different, and the names of what is gone. */
export interface MeshUpdate {
  readonly workloads?: readonly Workload[];
  readonly removedWorkloads?: readonly string[];
  readonly services?: readonly Service[];
  readonly removedServices?: readonly string[];
  readonly policies?: readonly Policy[];
  readonly removedPolicies?: readonly string[];
}

type Keys = ReadonlySet<string>;

interface Tables {
  readonly workloads: ShardedMap<Workload>;
  readonly services: ShardedMap<Service>;
  readonly policies: ShardedMap<Policy>;
  /** `network/ip` -> uids. More than one only with host-network pods or while an address changes hands. */
  readonly workloadsByAddress: ShardedMap<Keys>;
  /** `network/ip` or `network/ip/len` -> service keys. */
  readonly servicesByAddress: ShardedMap<Keys>;
  /** hostname -> service keys. */
  readonly servicesByHostname: ShardedMap<Keys>;
  /** service key -> uids of its workloads. */
  readonly endpoints: ShardedMap<Keys>;
  /** namespace ('' for global) -> keys of the policies of that scope. */
  readonly policiesByNamespace: ShardedMap<Keys>;
  /** Prefix lengths in use by virtual address blocks, longest first, and by how many. */
  readonly blockLengths: ReadonlyMap<number, number>;
}

export class MeshSnapshot {
  /** Grows by one with each update; decisions that were cached are stamped with it. */
  readonly generation: number;
  readonly #t: Tables;

  private constructor(generation: number, tables: Tables) {
    this.generation = generation;
    this.#t = tables;
  }

  static empty(): MeshSnapshot {
    return new MeshSnapshot(0, {
      workloads: ShardedMap.empty(),
      services: ShardedMap.empty(),
      policies: ShardedMap.empty(),
      workloadsByAddress: ShardedMap.empty(),
      servicesByAddress: ShardedMap.empty(),
      servicesByHostname: ShardedMap.empty(),
      endpoints: ShardedMap.empty(),
      policiesByNamespace: ShardedMap.empty(),
      blockLengths: new Map(),
    });
  }

  get workloads(): ShardedMap<Workload> {
    return this.#t.workloads;
  }

  get services(): ShardedMap<Service> {
    return this.#t.services;
  }

  get policies(): ShardedMap<Policy> {
    return this.#t.policies;
  }

  workload(uid: string): Workload | undefined {
    return this.#t.workloads.get(uid);
  }

  /** The workload that has this address. Where several claim it, pods of their own network namespace win over
   *  host-network pods; between equals nobody does: an address that two identities claim has none. */
  workloadAt(network: string, address: IpAddress): Workload | undefined {
    const claims = this.#resolve(this.#t.workloadsByAddress.get(`${network}/${address}`), this.#t.workloads);
    if (claims.length <= 1) return claims[0];
    const own = claims.filter((workload) => !workload.hostNetwork);
    return own.length === 1 ? own[0] : undefined;
  }

  /** All that claim this address, for a message that names them. */
  workloadsAt(network: string, address: IpAddress): readonly Workload[] {
    return this.#resolve(this.#t.workloadsByAddress.get(`${network}/${address}`), this.#t.workloads);
  }

  service(key: string): Service | undefined {
    return this.#t.services.get(key);
  }

  /** The service with this virtual address, or with the longest block that holds it. */
  serviceAt(network: string, address: IpAddress): Service | undefined {
    const exact = this.#firstService(this.#t.servicesByAddress.get(`${network}/${address}`));
    if (exact !== undefined) return exact;
    for (const length of this.#t.blockLengths.keys()) {
      if (!isIpv6(address) && length > 32) continue;
      const block = cidr(address, length).address;
      const found = this.#firstService(this.#t.servicesByAddress.get(`${network}/${block}/${length}`));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Services with this host name: the one of `preferredNamespace` first, then by name of the namespace. */
  servicesNamed(hostname: string, preferredNamespace: string): readonly Service[] {
    const named = [...this.#resolve(this.#t.servicesByHostname.get(hostname), this.#t.services)];
    const rank = (service: Service): number => (service.namespace === preferredNamespace ? 0 : 1);
    return named.sort((a, b) => rank(a) - rank(b) || compare(a.namespace, b.namespace));
  }

  /** The workloads behind a service, healthy or not, in no particular order. The same list in every snapshot in which none
   *  of them changed. */
  endpointsOf(key: string): readonly Workload[] {
    const uids = this.#t.endpoints.get(key);
    if (uids === undefined) return noWorkloads;
    let workloads = endpointLists.get(uids);
    if (workloads === undefined)
      endpointLists.set(uids, (workloads = this.#resolve(uids, this.#t.workloads)));
    return workloads;
  }

  /** Every policy that applies to a workload: global ones, its namespace's, and those it names, by name. The same list in
   *  every snapshot in which none of them changed. */
  policiesFor(workload: Workload): readonly Policy[] {
    const { policies, policiesByNamespace } = this.#t;
    const scopes = [policiesByNamespace.get(''), policiesByNamespace.get(workload.namespace)] as const;
    return policiesOf(...scopes, workload, policies);
  }

  /** The next snapshot. The order within an update does not matter: removals are applied first. */
  with(update: MeshUpdate): MeshSnapshot {
    const workloads = change(this.#t.workloads, update.workloads, update.removedWorkloads, (w) => w.uid);
    const services = change(this.#t.services, update.services, update.removedServices, serviceKey);
    const policies = change(this.#t.policies, update.policies, update.removedPolicies, policyKey);
    const servicesByAddress = index(this.#t.servicesByAddress, services, serviceKey, addressKeysOfService);
    return new MeshSnapshot(this.generation + 1, {
      workloads: workloads.table,
      services: services.table,
      policies: policies.table,
      workloadsByAddress: index(this.#t.workloadsByAddress, workloads, (w) => w.uid, addressKeysOfWorkload),
      servicesByAddress,
      servicesByHostname: index(this.#t.servicesByHostname, services, serviceKey, (s) => [s.hostname]),
      endpoints: index(
        this.#t.endpoints,
        workloads,
        (w) => w.uid,
        (w) => w.services.keys(),
      ),
      policiesByNamespace: index(this.#t.policiesByNamespace, policies, policyKey, scopeKeys),
      blockLengths: services.touched ? blockLengths(this.#t.blockLengths, services) : this.#t.blockLengths,
    });
  }

  #firstService(keys: Keys | undefined): Service | undefined {
    const found = [...this.#resolve(keys, this.#t.services)];
    if (found.length <= 1) return found[0];
    return found.sort(
      (a, b) => Number(b.canonical) - Number(a.canonical) || compare(serviceKey(a), serviceKey(b)),
    )[0];
  }

  #resolve<V>(keys: Keys | undefined, table: ShardedMap<V>): readonly V[] {
    const values: V[] = [];
    for (const key of keys ?? []) {
      const value = table.get(key);
      if (value !== undefined) values.push(value);
    }
    return values;
  }
}

const noWorkloads: readonly Workload[] = [];
/** By the set of uids, which a change of any of the workloads replaces. */
const endpointLists = new WeakMap<Keys, readonly Workload[]>();

interface Changed<V> {
  readonly table: ShardedMap<V>;
  readonly before: readonly V[];
  readonly after: readonly V[];
  readonly touched: boolean;
}

function change<V>(
  table: ShardedMap<V>,
  added: readonly V[] = [],
  removed: readonly string[] = [],
  keyOf: (value: V) => string,
): Changed<V> {
  if (added.length === 0 && removed.length === 0) return { table, before: [], after: [], touched: false };
  const latest = new Map<string, V | undefined>();
  for (const key of removed) latest.set(key, undefined);
  for (const value of added) latest.set(keyOf(value), value);
  const before = [...latest.keys()].map((key) => table.get(key)).filter((value) => value !== undefined);
  const after = [...latest.values()].filter((value) => value !== undefined);
  return { table: table.with(latest), before, after, touched: true };
}

/** Applies a change to an index from key to the set of names that have it. */
function index<V>(
  table: ShardedMap<Keys>,
  changed: Changed<V>,
  nameOf: (value: V) => string,
  keysOf: (value: V) => Iterable<string>,
): ShardedMap<Keys> {
  if (!changed.touched) return table;
  const next = new Map<string, Set<string>>();
  const open = (key: string): Set<string> => {
    let names = next.get(key);
    if (names === undefined) next.set(key, (names = new Set(table.get(key))));
    return names;
  };
  for (const value of changed.before) for (const key of keysOf(value)) open(key).delete(nameOf(value));
  for (const value of changed.after) for (const key of keysOf(value)) open(key).add(nameOf(value));
  return table.with([...next].map(([key, names]) => [key, names.size > 0 ? names : undefined] as const));
}

function addressKeysOfWorkload(workload: Workload): string[] {
  return workload.addresses.map((address) => `${workload.network}/${address}`);
}

function addressKeysOfService(service: Service): string[] {
  return service.addresses.map((address) =>
    address.length === undefined
      ? `${address.network}/${address.ip}`
      : `${address.network}/${address.ip}/${address.length}`,
  );
}

function blockLengths(
  before: ReadonlyMap<number, number>,
  changed: Changed<Service>,
): ReadonlyMap<number, number> {
  const counts = new Map(before);
  const count = (service: Service, by: number): void => {
    for (const { length } of service.addresses)
      if (length !== undefined) counts.set(length, (counts.get(length) ?? 0) + by);
  };
  for (const service of changed.before) count(service, -1);
  for (const service of changed.after) count(service, 1);
  return new Map([...counts].filter(([, services]) => services > 0).sort(([a], [b]) => b - a));
}

/** Policies that select workloads are reached by name from the workload, not by namespace. */
function scopeKeys(policy: Policy): string[] {
  if (policy.scope === 'global') return [''];
  return policy.scope === 'namespace' ? [policy.namespace] : [];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
