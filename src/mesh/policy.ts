// An authorization policy as a node evaluates it (istio.security.Authorization): L4 only.
// Rules are ORed; clauses of a rule ANDed; matches of a clause ORed; fields of a match ANDed; values of a field ORed.
import type { Cidr } from './address.ts';

export type StringMatch =
  { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly value: string } | { readonly kind: 'presence' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A field that is absent or empty says nothing. A match in which every field says nothing never matches. */
export interface PolicyMatch {
  readonly namespaces?: readonly StringMatch[];
  readonly notNamespaces?: readonly StringMatch[];
  readonly principals?: readonly StringMatch[];
  readonly notPrincipals?: readonly StringMatch[];
  readonly serviceAccounts?: readonly ServiceAccountMatch[];
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
  readonly sourceIps?: readonly Cidr[];
  readonly notSourceIps?: readonly Cidr[];
  readonly destinationIps?: readonly Cidr[];
  readonly notDestinationIps?: readonly Cidr[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
}

/** Matches are ORed. An empty clause always matches. */
export interface PolicyClause {
  readonly matches: readonly PolicyMatch[];
}

/** Clauses are ANDed. */
export interface PolicyRule {
  readonly clauses: readonly PolicyClause[];
}

export interface Policy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'global' | 'namespace' | 'workload';
  readonly action: 'allow' | 'deny';
  readonly rules: readonly PolicyRule[];
  /** Only reported, never enforced. */
  readonly dryRun: boolean;
}

/** `namespace/name`: the xDS resource name of a policy. */
export function policyKey(policy: Pick<Policy, 'namespace' | 'name'>): string {
  return `${policy.namespace}/${policy.name}`;
}
