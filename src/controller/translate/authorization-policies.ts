// AuthorizationPolicy objects as the policies that nodes enforce. One that cannot be understood denies everything
// within its scope: it was written to keep somebody out.
import type { Policy, PolicyRule } from '../../mesh/policy.ts';
import { policyKey } from '../../mesh/policy.ts';
import { PolicyNotUnderstood } from '../errors.ts';
import type { AuthorizationPolicy, BrokenObject, ObjectSet } from '../objects/object-set.ts';
import type { AnyObject } from '../objects/metadata.ts';
import { formatPath } from '../problem.ts';
import type { Findings } from './findings.ts';
import type { Labels } from './labels.ts';
import { dryRunAnnotations, firstOf } from './labels.ts';
import { scopeOf } from './policy-scope.ts';
import { translateRule } from './policy-rules.ts';
import type { MeshSettings } from './settings.ts';

/** A policy with the labels of the workloads it is about, if it is about some only. */
export interface SelectingPolicy {
  readonly policy: Policy;
  readonly selector?: Labels;
}

/** A rule without clauses matches every connection. */
const denyAll: readonly PolicyRule[] = [{ clauses: [] }];

/** By name: two API groups may each hold a policy of one name, and then the second is known by `name_group`. */
export function translateAuthorizationPolicies(
  objects: ObjectSet,
  settings: MeshSettings,
  findings: Findings,
): readonly SelectingPolicy[] {
  const made: { readonly group: string; readonly found: SelectingPolicy }[] = [];
  for (const object of objects.AuthorizationPolicy.values()) {
    const found = policyOf(object, settings, findings);
    if (found !== undefined) made.push({ group: groupOf(object.apiVersion), found });
  }
  for (const broken of objects.broken) {
    if (broken.kind !== 'AuthorizationPolicy' || broken.forWaypoints) continue;
    made.push({ group: groupOf(broken.apiVersion), found: denyInScope(broken, settings) });
  }
  made.sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0));
  const taken = new Set<string>();
  return made.map(({ group, found }) => {
    const key = policyKey(found.policy);
    if (!taken.has(key)) {
      taken.add(key);
      return found;
    }
    return { ...found, policy: { ...found.policy, name: `${found.policy.name}_${group}` } };
  });
}

/** `security.istio.io` of `security.istio.io/v1`. */
export function groupOf(apiVersion: string): string {
  return apiVersion.split('/', 1)[0] ?? '';
}

function policyOf(
  object: AuthorizationPolicy,
  settings: MeshSettings,
  findings: Findings,
): SelectingPolicy | undefined {
  const { spec, metadata } = object;
  if (spec.targetRef !== undefined || spec.targetRefs.length > 0) {
    const message = 'is for waypoints, which this version does not have: nothing enforces it';
    findings.warning(object, 'unsupported-value', ['spec', 'targetRefs'], message);
    return undefined;
  }
  if (spec.action === 'AUDIT') {
    const message = 'AUDIT is not done at nodes; the policy has no effect';
    findings.warning(object, 'unsupported-value', ['spec', 'action'], message);
    return undefined;
  }
  const base = {
    name: metadata.name,
    namespace: metadata.namespace,
    scope: scopeOf(metadata.namespace, spec.selector?.matchLabels, settings),
    dryRun: isDryRun(object, findings),
  } as const;
  const selecting = base.scope === 'workload' ? { selector: spec.selector?.matchLabels ?? {} } : {};
  try {
    return { policy: { ...base, ...rulesOf(object, findings) }, ...selecting };
  } catch (error) {
    if (!(error instanceof PolicyNotUnderstood)) throw error;
    findings.error(object, 'unsupported-value', error.path, `${error.message}; ${consequence(base.dryRun)}`);
    return { policy: { ...base, action: 'deny', rules: denyAll }, ...selecting };
  }
}

function consequence(dryRun: boolean): string {
  return dryRun
    ? 'the policy is only tried'
    : 'until this is mended the policy denies everything it is about';
}

/** Throws PolicyNotUnderstood. */
function rulesOf(object: AuthorizationPolicy, findings: Findings): Pick<Policy, 'action' | 'rules'> {
  const { action, rules } = object.spec;
  if (action !== 'ALLOW' && action !== 'DENY')
    throw new PolicyNotUnderstood(['spec', 'action'], `nodes cannot ask an external authorizer (${action})`);
  const meshAction = action === 'ALLOW' ? 'allow' : 'deny';
  const translated: PolicyRule[] = [];
  rules.forEach((spec, index) => {
    const path = ['spec', 'rules', index];
    const { rule, http } = translateRule(spec, meshAction, object.metadata.namespace, path);
    if (rule !== undefined) translated.push(rule);
    for (const field of http) {
      const effect =
        meshAction === 'allow'
          ? `rule ${formatPath(path)} allows nothing`
          : 'the rule denies without asking for it';
      findings.warning(object, 'http-ignored', field, `only a waypoint can look at this; ${effect}`);
    }
  });
  return { action: meshAction, rules: translated };
}

function isDryRun(object: AnyObject, findings: Findings): boolean {
  const annotation = firstOf(object.metadata.annotations, dryRunAnnotations);
  if (annotation === undefined || annotation.value === 'false') return false;
  if (annotation.value === 'true') return true;
  const path = ['metadata', 'annotations', annotation.name];
  findings.error(
    object,
    'invalid',
    path,
    `"${annotation.value}" is neither true nor false; the policy is enforced`,
  );
  return false;
}

function denyInScope(broken: BrokenObject, settings: MeshSettings): SelectingPolicy {
  const scope = scopeOf(broken.namespace, broken.selector, settings);
  return {
    policy: {
      name: broken.name,
      namespace: broken.namespace,
      scope,
      action: 'deny',
      rules: denyAll,
      dryRun: firstOf(broken.annotations, dryRunAnnotations)?.value === 'true',
    },
    ...(scope === 'workload' ? { selector: broken.selector ?? {} } : {}),
  };
}
