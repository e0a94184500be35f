// Look-up of served resources by every name they may be asked for: their own, an alias, or a resource that brings
// them along. Built once per set of resources, and only where somebody asks by name.
import type { ServedResource } from './types.ts';

export type Resources = ReadonlyMap<string, ServedResource>;

export interface ResourceIndex {
  /** What stands under a name itself: more than one only where workloads share an address. */
  named(name: string): readonly ServedResource[];
  /** What comes along with the resource of this (primary) name. */
  broughtBy(name: string): readonly ServedResource[];
}

const indexes = new WeakMap<Resources, ResourceIndex>();

export function indexOf(resources: Resources): ResourceIndex {
  let index = indexes.get(resources);
  if (index === undefined) indexes.set(resources, (index = buildIndex(resources)));
  return index;
}

function buildIndex(resources: Resources): ResourceIndex {
  const byAlias = new Map<string, ServedResource[]>();
  const brought = new Map<string, ServedResource[]>();
  for (const resource of resources.values()) {
    for (const alias of resource.aliases) append(byAlias, alias, resource);
    for (const name of resource.broughtBy ?? []) append(brought, name, resource);
  }
  return {
    named(name) {
      const own = resources.get(name);
      return own === undefined ? (byAlias.get(name) ?? []) : [own];
    },
    broughtBy: (name) => brought.get(name) ?? [],
  };
}

function append(map: Map<string, ServedResource[]>, key: string, resource: ServedResource): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [resource]);
  else list.push(resource);
}
