// Allow or deny, as Istio's L4 policies do: any DENY that matches denies; without ALLOW policies everything else is
// allowed; with them, one has to match. Dry-run policies are only reported.
import type { Policy } from '../mesh/policy.ts';
import { partsOf } from '../mesh/policy-lists.ts';
import { policyKey } from '../mesh/policy.ts';
import type { PolicyConnection } from './connection.ts';
import { Subject } from './connection.ts';
import type { Observation } from './evaluate.ts';
import { matchingRule } from './evaluate.ts';
import { PolicyIndex } from './policy-index.ts';

export type DecisionReason =
  | 'no_allow_policy_exists' // nothing restricts the workload
  | 'allow_policy_matched'
  | 'deny_policy_matched'
  | 'no_allow_policy_matched';

export interface Decision {
  readonly allow: boolean;
  /** `namespace/name` of the policy that decided; absent where it was the absence of one. */
  readonly policy?: string;
  readonly reason: DecisionReason;
  /** `namespace/name` of the dry-run policies that would have denied, were they enforced. */
  readonly dryRun: readonly string[];
}

/** What one policy made of a connection. */
export interface PolicyExplanation {
  readonly policy: Policy;
  readonly matched: boolean;
  /** Index of the first rule that matched; -1 if none did. */
  readonly rule: number;
  /** The fields that were looked at; evaluation of a match ends at the first field that does not hold. */
  readonly observations: readonly Observation[];
}

export interface Explanation {
  readonly decision: Decision;
  readonly policies: readonly PolicyExplanation[];
}

/** Whether these policies, which are all that apply to the destination, let the connection pass. What can be worked out of
 *  a list is kept with it: give the same list for the same policies. `looked` is called with each policy evaluated. */
export function authorize(
  policies: readonly Policy[],
  connection: PolicyConnection,
  looked?: (policy: Policy) => void,
): Decision {
  if (policies.length === 0) return unrestricted;
  return decide(policies, new Subject(connection), looked);
}

/** `authorize`, with what every policy had to say: the same evaluator, watched. */
export function explain(policies: readonly Policy[], connection: PolicyConnection): Explanation {
  const subject = new Subject(connection);
  const explained = policies.map((policy): PolicyExplanation => {
    const observations: Observation[] = [];
    const rule = matchingRule(policy, subject, (observation) => observations.push(observation));
    return { policy, matched: rule >= 0, rule, observations };
  });
  return { decision: authorize(policies, connection), policies: explained };
}

const unrestricted: Decision = { allow: true, reason: 'no_allow_policy_exists', dryRun: [] };

/** The policies of a list by what they do. */
interface Groups {
  readonly denies: PolicyIndex;
  readonly allows: PolicyIndex;
  readonly dryDenies: PolicyIndex;
  readonly dryAllows: PolicyIndex;
}

const groups = new WeakMap<readonly Policy[], Groups>();

function groupsOf(policies: readonly Policy[]): Groups {
  let known = groups.get(policies);
  if (known === undefined) {
    const those = (action: Policy['action'], dryRun: boolean): PolicyIndex =>
      new PolicyIndex(policies.filter((policy) => policy.action === action && policy.dryRun === dryRun));
    known = {
      denies: those('deny', false),
      allows: those('allow', false),
      dryDenies: those('deny', true),
      dryAllows: those('allow', true),
    };
    groups.set(policies, known);
  }
  return known;
}

type Looked = ((policy: Policy) => void) | undefined;

function decide(policies: readonly Policy[], subject: Subject, looked: Looked): Decision {
  const parts = partsOf(policies).map(groupsOf);
  const first = (group: keyof Groups): Policy | undefined => {
    for (const part of parts) {
      const policy = part[group].first(subject, looked);
      if (policy !== undefined) return policy;
    }
    return undefined;
  };
  const denying = first('denies');
  const allowing = first('allows');
  const open = allowing !== undefined || first('dryAllows') !== undefined;
  const dryRun = namesInOrder(policies, wouldDeny(parts, open, subject, looked));
  if (denying !== undefined)
    return { allow: false, policy: policyKey(denying), reason: 'deny_policy_matched', dryRun };
  if (allowing !== undefined)
    return { allow: true, policy: policyKey(allowing), reason: 'allow_policy_matched', dryRun };
  return parts.some(({ allows }) => allows.policies.length > 0)
    ? { allow: false, reason: 'no_allow_policy_matched', dryRun }
    : { allow: true, reason: 'no_allow_policy_exists', dryRun };
}

/** A dry-run DENY would deny what it matches; dry-run ALLOWs what neither they nor an enforced ALLOW match. */
function wouldDeny(
  parts: readonly Groups[],
  open: boolean,
  subject: Subject,
  looked: Looked,
): readonly Policy[] {
  const policies: Policy[] = [];
  for (const { dryDenies, dryAllows } of parts) {
    if (dryDenies.policies.length > 0) policies.push(...dryDenies.all(subject, looked));
    if (!open) policies.push(...dryAllows.policies);
  }
  return policies;
}

function namesInOrder(policies: readonly Policy[], some: readonly Policy[]): readonly string[] {
  if (some.length === 0) return [];
  const chosen = new Set(some);
  return policies.filter((policy) => chosen.has(policy)).map(policyKey);
}
