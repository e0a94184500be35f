// What the xDS server serves: the mesh, encoded. Of a new translation only what differs from the last one is encoded
// again, and nothing moves for those who look unless something did.
import { isDeepStrictEqual } from 'node:util';
import { formatIdentity } from '../mesh/identity.ts';
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { Policy } from '../mesh/policy.ts';
import type { Service } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';
import { serveLegacyWorkload, servePod, servePolicy, serveService, serveWorkload } from '../xds/served.ts';
import type { Caller, ResourceSource, ServedResource, TypeUrl } from '../xds/types.ts';
import { typeUrls } from '../xds/types.ts';
import type { Translation } from './translate/settings.ts';

type Served = ReadonlyMap<string, ServedResource>;

const nothing: Served = new Map();

/** How many resources a translation changed. */
export interface Published {
  readonly changed: number;
  readonly removed: number;
}

export class Publisher implements ResourceSource {
  readonly #workloads = new ServedTable<Workload>(serveWorkload);
  readonly #services = new ServedTable<Service>(serveService);
  readonly #policies = new ServedTable<Policy>(servePolicy);
  readonly #legacy = new ServedTable<Workload>(serveLegacyWorkload);
  readonly #pods = new Map<string, ServedTable<PodSettings>>();
  readonly #listeners = new Set<() => void>();
  #identities = new Map<string, ReadonlySet<string>>();
  #address: Served = nothing;
  #translation: Translation | undefined;

  /** False until the first publication. */
  get ready(): boolean {
    return this.#translation !== undefined;
  }

  /** The records that are served; undefined before the first publication. */
  get translation(): Translation | undefined {
    return this.#translation;
  }

  resources(type: TypeUrl, caller: Caller): Served {
    switch (type) {
      case typeUrls.address:
        return this.#address;
      case typeUrls.authorization:
        return this.#policies.served;
      case typeUrls.pod:
        return caller.node === undefined ? nothing : (this.#pods.get(caller.node)?.served ?? nothing);
      case typeUrls.workload:
        // Clients of this type are old: nothing is encoded for them until one asks.
        if (this.#translation !== undefined) this.#legacy.replace(this.#translation.workloads);
        return this.#legacy.served;
    }
  }

  /** SPIFFE ids of the pods that are bound to this node, as long as they are. */
  identitiesOnNode(node: string): ReadonlySet<string> {
    const known = this.#identities.get(node);
    if (known !== undefined) return known;
    const found = new Set<string>();
    for (const pod of this.#translation?.pods.values() ?? [])
      if (pod.node === node) found.add(formatIdentity(pod.settings));
    if (this.#pods.has(node)) this.#identities.set(node, found);
    return found;
  }

  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  /** Takes a translation into service and tells those who subscribed, if anything in it is new. */
  publish(translation: Translation): Published {
    const first = this.#translation === undefined;
    this.#translation = translation;
    this.#identities = new Map();
    const workloads = this.#workloads.replace(translation.workloads);
    const services = this.#services.replace(translation.services);
    if (workloads.changed + workloads.removed + services.changed + services.removed > 0)
      this.#address = new Map([...this.#services.served, ...this.#workloads.served]);
    const parts = [
      workloads,
      services,
      this.#policies.replace(translation.policies),
      this.#publishPods(translation),
    ];
    const published = {
      changed: parts.reduce((sum, part) => sum + part.changed, 0),
      removed: parts.reduce((sum, part) => sum + part.removed, 0),
    };
    if (first || published.changed + published.removed > 0)
      for (const listener of [...this.#listeners]) listener();
    return published;
  }

  #publishPods(translation: Translation): Published {
    const byNode = new Map<string, Map<string, PodSettings>>();
    for (const [uid, { node, settings }] of translation.pods) {
      const known = byNode.get(node);
      if (known === undefined) byNode.set(node, new Map([[uid, settings]]));
      else known.set(uid, settings);
    }
    let [changed, removed] = [0, 0];
    for (const node of new Set([...this.#pods.keys(), ...byNode.keys()])) {
      const table = this.#pods.get(node) ?? new ServedTable<PodSettings>(servePod);
      const part = table.replace(byNode.get(node) ?? new Map());
      changed += part.changed;
      removed += part.removed;
      if (byNode.has(node)) this.#pods.set(node, table);
      else this.#pods.delete(node);
    }
    return { changed, removed };
  }
}

/** Records of one kind with their encoded form. `served` is a new map after each change and the same one otherwise. */
class ServedTable<R> {
  readonly #encode: (record: R) => ServedResource;
  #records: ReadonlyMap<string, R> = new Map();
  #served: Served = nothing;

  constructor(encode: (record: R) => ServedResource) {
    this.#encode = encode;
  }

  get served(): Served {
    return this.#served;
  }

  replace(records: ReadonlyMap<string, R>): Published {
    if (records === this.#records) return { changed: 0, removed: 0 };
    const next = new Map<string, ServedResource>();
    let changed = 0;
    for (const [key, record] of records) {
      const before = this.#served.get(key);
      const same = before !== undefined && isDeepStrictEqual(record, this.#records.get(key));
      next.set(key, same ? before : this.#encode(record));
      if (!same) changed += 1;
    }
    const removed = [...this.#served.keys()].filter((key) => !next.has(key)).length;
    this.#records = records;
    if (changed + removed > 0) this.#served = next;
    return { changed, removed };
  }
}
