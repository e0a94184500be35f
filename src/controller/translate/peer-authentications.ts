// PeerAuthentication says whether plaintext is let in. Nodes know policies only, so STRICT becomes a DENY of whoever
// has no identity, under the names that Istio's control plane gives to the same conversion.
import type { Policy, PolicyRule, StringMatch } from '../../mesh/policy.ts';
import type { AnyObject } from '../objects/metadata.ts';
import type { ObjectSet } from '../objects/object-set.ts';
import type { MtlsMode } from '../objects/policy.ts';
import { groupOf } from './authorization-policies.ts';
import type { Findings } from './findings.ts';
import type { Labels } from './labels.ts';
import { scopeOf } from './policy-scope.ts';
import type { MeshSettings } from './settings.ts';

/** Which policies of this kind a workload is to name, beside those that select it. */
export interface PeerAuthentications {
  readonly policies: readonly Policy[];
  /** Policies of a pod with these labels, by key. */
  keysFor(namespace: string, labels: Labels): readonly string[];
}

/** One PeerAuthentication, reduced to what decides. */
interface Rank {
  readonly group: string;
  readonly name: string;
  readonly namespace: string;
  readonly selector: Labels | undefined;
  readonly mode: MtlsMode;
  readonly ports: ReadonlyMap<number, MtlsMode>;
  /** Sorts first: what cannot be understood, then the oldest, then by name. */
  readonly order: string;
  readonly object?: AnyObject;
}

const anyone: readonly StringMatch[] = [{ kind: 'presence' }];

export function translatePeerAuthentications(
  objects: ObjectSet,
  settings: MeshSettings,
  findings: Findings,
): PeerAuthentications {
  const ranks = ranksOf(objects);
  const scoped = new Map<string, Rank>();
  const selecting = new Map<string, Rank[]>();
  for (const rank of ranks) {
    if (scopeOf(rank.namespace, rank.selector, settings) === 'workload') {
      selecting.set(rank.namespace, [...(selecting.get(rank.namespace) ?? []), rank]);
      continue;
    }
    const known = scoped.get(rank.namespace);
    if (known === undefined) scoped.set(rank.namespace, rank);
    else warnOfConflict(known, rank, findings);
  }
  const strictNamespaces = (namespace: string): boolean =>
    isStrict(scoped.get(namespace)?.mode, isStrict(scoped.get(settings.rootNamespace)?.mode, false));
  const policies: Policy[] = [];
  if (ranks.length > 0) policies.push(staticStrict(settings));
  const own = new Map<Rank, readonly string[]>();
  const taken = new Set<string>();
  for (const [namespace, list] of selecting) {
    for (const rank of list) {
      // Two API groups may each hold one of this name.
      const name = taken.has(`${namespace}/${rank.name}`) ? `${rank.name}_${rank.group}` : rank.name;
      const converted = convert({ ...rank, name }, strictNamespaces(namespace), settings);
      if (converted.policy !== undefined) {
        policies.push(converted.policy);
        taken.add(`${namespace}/${rank.name}`);
      }
      own.set(rank, converted.keys);
    }
  }
  return {
    policies,
    keysFor(namespace, labels) {
      const rank = selecting.get(namespace)?.find(({ selector }) => carries(labels, selector ?? {}));
      if (rank !== undefined) return own.get(rank) ?? [];
      return strictNamespaces(namespace) ? [staticStrictKey(settings)] : [];
    },
  };
}

function ranksOf(objects: ObjectSet): readonly Rank[] {
  const ranks: Rank[] = [];
  for (const object of objects.PeerAuthentication.values()) {
    const { metadata, spec } = object;
    const ports = Object.entries(spec.portLevelMtls).map(([port, { mode }]) => [Number(port), mode] as const);
    ranks.push({
      group: groupOf(object.apiVersion),
      name: metadata.name,
      namespace: metadata.namespace,
      selector: spec.selector?.matchLabels,
      mode: spec.mtls?.mode ?? 'UNSET',
      ports: new Map(ports),
      order: `1 ${metadata.creationTimestamp ?? '9'} ${metadata.name} ${object.apiVersion}`,
      object,
    });
  }
  // The strictest thing that one might have said whose content cannot be understood.
  for (const { kind, apiVersion, name, namespace, selector } of objects.broken) {
    if (kind !== 'PeerAuthentication') continue;
    const group = groupOf(apiVersion);
    ranks.push({
      group,
      name,
      namespace,
      selector,
      mode: 'STRICT',
      ports: new Map(),
      order: `0 ${name} ${group}`,
    });
  }
  return ranks.sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
}

function warnOfConflict(winner: Rank, loser: Rank, findings: Findings): void {
  if (loser.object === undefined) return;
  const message = `${winner.name} is about the same workloads and takes precedence; this one has no effect`;
  findings.warning(loser.object, 'conflict', [], message);
}

/** DISABLE cannot be had in the mesh and is PERMISSIVE, as in Istio's ambient mode. */
function isStrict(mode: MtlsMode | undefined, inherited: boolean): boolean {
  return mode === undefined || mode === 'UNSET' ? inherited : mode === 'STRICT';
}

interface Converted {
  readonly policy?: Policy;
  readonly keys: readonly string[];
}

/** One policy per object, with the exceptions of single ports; without exceptions the static one does. */
function convert(rank: Rank, inherited: boolean, settings: MeshSettings): Converted {
  const strict = isStrict(rank.mode, inherited);
  const exceptions = [...rank.ports]
    .filter(([, mode]) => isStrict(mode, strict) !== strict)
    .map(([port]) => port);
  if (exceptions.length === 0) return { keys: strict ? [staticStrictKey(settings)] : [] };
  exceptions.sort((a, b) => a - b);
  const name = `converted_peer_authentication_${rank.name}`;
  const policy: Policy = {
    name,
    namespace: rank.namespace,
    scope: 'workload',
    action: 'deny',
    rules: strict ? [allBut(exceptions)] : exceptions.map(only),
    dryRun: false,
  };
  return { policy, keys: [`${rank.namespace}/${name}`] };
}

/** Matches whoever has no identity, on any port but these. */
function allBut(ports: readonly number[]): PolicyRule {
  const others = ports.map((port) => ({ matches: [{ notDestinationPorts: [port] }] }));
  return { clauses: [{ matches: [{ notPrincipals: anyone }] }, ...others] };
}

/** Matches whoever has no identity, on this port. */
function only(port: number): PolicyRule {
  return { clauses: [{ matches: [{ notPrincipals: anyone, destinationPorts: [port] }] }] };
}

function staticStrict(settings: MeshSettings): Policy {
  return {
    name: 'istio_converted_static_strict',
    namespace: settings.rootNamespace,
    scope: 'workload',
    action: 'deny',
    rules: [{ clauses: [{ matches: [{ notPrincipals: anyone }] }] }],
    dryRun: false,
  };
}

function staticStrictKey(settings: MeshSettings): string {
  return `${settings.rootNamespace}/istio_converted_static_strict`;
}

function carries(has: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(has, name) && has[name] === value);
}
