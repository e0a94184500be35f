// Which policies apply to a workload, as lists that stay the same object while nothing in them changes, from one snapshot
// to the next: who compares lists compares two pointers, and what was worked out of a list can be kept with it.
import type { Policy } from './policy.ts';
import type { ShardedMap } from './sharded-map.ts';
import type { Workload } from './workload.ts';

/** Names of the policies of one scope. A change of any of them makes a new set. */
export type Scope = ReadonlySet<string>;

/** The global policies, those of the workload's namespace, and those it names that are neither, in this order. */
export function policiesOf(
  global: Scope | undefined,
  namespace: Scope | undefined,
  workload: Workload,
  policies: ShardedMap<Policy>,
): readonly Policy[] {
  const shared = joined(inScope(global ?? nothing, policies), inScope(namespace ?? nothing, policies));
  return workload.policies.length === 0 ? shared : joined(shared, namedBy(workload, policies));
}

/** The lists that a list was joined of, each of which lives as long as it does not change itself; else the list alone. */
export function partsOf(policies: readonly Policy[]): readonly (readonly Policy[])[] {
  return parts.get(policies) ?? [policies];
}

const nothing: Scope = new Set();
const scopes = new WeakMap<Scope, readonly Policy[]>();

function inScope(scope: Scope, policies: ShardedMap<Policy>): readonly Policy[] {
  let list = scopes.get(scope);
  if (list === undefined) scopes.set(scope, (list = found([...scope], policies)));
  return list;
}

interface Named {
  /** Each once. */
  readonly names: readonly string[];
  /** What the names stand for, one for one. */
  readonly found: readonly (Policy | undefined)[];
  readonly list: readonly Policy[];
  /** The last table in which they do. */
  policies: ShardedMap<Policy>;
}

const named = new WeakMap<Workload, Named>();

/** The policies that a workload names and that do not apply to it anyway. */
function namedBy(workload: Workload, policies: ShardedMap<Policy>): readonly Policy[] {
  const known = named.get(workload);
  if (known !== undefined && isCurrent(known, policies)) return known.list;
  const names = known?.names ?? [...new Set(workload.policies)];
  const found = names.map((name) => policies.get(name));
  const list = found.filter(
    (policy) =>
      policy?.scope === 'workload' ||
      (policy?.scope === 'namespace' && policy.namespace !== workload.namespace),
  ) as readonly Policy[];
  named.set(workload, { names, found, list, policies });
  return list;
}

function isCurrent(known: Named, policies: ShardedMap<Policy>): boolean {
  if (known.policies === policies) return true;
  if (!known.names.every((name, i) => policies.get(name) === known.found[i])) return false;
  known.policies = policies;
  return true;
}

const joins = new WeakMap<readonly Policy[], WeakMap<readonly Policy[], readonly Policy[]>>();
const parts = new WeakMap<readonly Policy[], readonly (readonly Policy[])[]>();

function joined(first: readonly Policy[], second: readonly Policy[]): readonly Policy[] {
  if (second.length === 0) return first;
  if (first.length === 0) return second;
  let lists = joins.get(first);
  if (lists === undefined) joins.set(first, (lists = new WeakMap()));
  let list = lists.get(second);
  if (list === undefined) {
    lists.set(second, (list = [...first, ...second]));
    parts.set(list, [...partsOf(first), ...partsOf(second)]);
  }
  return list;
}

function found(keys: readonly string[], policies: ShardedMap<Policy>): readonly Policy[] {
  const list: Policy[] = [];
  for (const key of keys) {
    const policy = policies.get(key);
    if (policy !== undefined) list.push(policy);
  }
  return list;
}
