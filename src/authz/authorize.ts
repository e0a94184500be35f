// Allow or deny, as Istio's L4 policies do: any DENY that matches denies; without ALLOW policies everything else is
// allowed; with them, one has to match. Dry-run policies are only reported.
import type { Policy } from '../mesh/policy.ts';
import { policyKey } from '../mesh/policy.ts';
import type { PolicyConnection } from './connection.ts';
import { subjectOf } from './connection.ts';
import type { Observation } from './evaluate.ts';
import { matchingRule } from './evaluate.ts';

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

/** Whether these policies, which are all that apply to the destination, let the connection pass. */
export function authorize(policies: readonly Policy[], connection: PolicyConnection): Decision {
  if (policies.length === 0) return unrestricted;
  const subject = subjectOf(connection);
  return decide(policies, (policy) => matchingRule(policy, subject) >= 0);
}

/** `authorize`, with what every policy had to say: the same evaluator, watched. */
export function explain(policies: readonly Policy[], connection: PolicyConnection): Explanation {
  const subject = subjectOf(connection);
  const explained = new Map<Policy, PolicyExplanation>();
  for (const policy of policies) {
    const observations: Observation[] = [];
    const rule = matchingRule(policy, subject, (observation) => observations.push(observation));
    explained.set(policy, { policy, matched: rule >= 0, rule, observations });
  }
  const decision = decide(policies, (policy) => explained.get(policy)?.matched ?? false);
  return { decision, policies: [...explained.values()] };
}

const unrestricted: Decision = { allow: true, reason: 'no_allow_policy_exists', dryRun: [] };

function decide(policies: readonly Policy[], matches: (policy: Policy) => boolean): Decision {
  const denying = policies.find((policy) => policy.action === 'deny' && !policy.dryRun && matches(policy));
  const enforcedAllows = policies.filter((policy) => policy.action === 'allow' && !policy.dryRun);
  const allowing = enforcedAllows.find(matches);
  const dryRun = wouldDeny(policies, allowing !== undefined, matches);
  if (denying !== undefined)
    return { allow: false, policy: policyKey(denying), reason: 'deny_policy_matched', dryRun };
  if (enforcedAllows.length === 0) return { allow: true, reason: 'no_allow_policy_exists', dryRun };
  if (allowing === undefined) return { allow: false, reason: 'no_allow_policy_matched', dryRun };
  return { allow: true, policy: policyKey(allowing), reason: 'allow_policy_matched', dryRun };
}

/** A dry-run DENY would deny what it matches; dry-run ALLOWs what neither they nor an enforced ALLOW match. */
function wouldDeny(
  policies: readonly Policy[],
  allowed: boolean,
  matches: (policy: Policy) => boolean,
): readonly string[] {
  const dry = policies.filter((policy) => policy.dryRun);
  if (dry.length === 0) return [];
  const allows = dry.filter((policy) => policy.action === 'allow');
  const open = allowed || allows.some(matches);
  return dry
    .filter((policy) => (policy.action === 'deny' ? matches(policy) : !open))
    .map((policy) => policyKey(policy));
}
