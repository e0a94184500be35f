// Policies evaluated as they are written, value by value and policy by policy: slow, short, and what the indexes of
// src/authz must agree with.
import type { Decision } from '../../src/authz/authorize.ts';
import type { PolicyConnection } from '../../src/authz/connection.ts';
import { cidrContains } from '../../src/mesh/address.ts';
import { principalOf } from '../../src/mesh/identity.ts';
import type { Policy, PolicyMatch, StringMatch } from '../../src/mesh/policy.ts';
import { policyKey } from '../../src/mesh/policy.ts';

export function authorizePlainly(policies: readonly Policy[], connection: PolicyConnection): Decision {
  const matches = (policy: Policy): boolean => policyMatches(policy, connection);
  const deny = policies.find((policy) => policy.action === 'deny' && !policy.dryRun && matches(policy));
  const allows = policies.filter((policy) => policy.action === 'allow' && !policy.dryRun);
  const allow = allows.find(matches);
  const dry = policies.filter((policy) => policy.dryRun);
  const open = allow !== undefined || dry.some((policy) => policy.action === 'allow' && matches(policy));
  const dryRun = dry.filter((policy) => (policy.action === 'deny' ? matches(policy) : !open)).map(policyKey);
  if (deny !== undefined)
    return { allow: false, policy: policyKey(deny), reason: 'deny_policy_matched', dryRun };
  if (allows.length === 0) return { allow: true, reason: 'no_allow_policy_exists', dryRun };
  if (allow === undefined) return { allow: false, reason: 'no_allow_policy_matched', dryRun };
  return { allow: true, policy: policyKey(allow), reason: 'allow_policy_matched', dryRun };
}

function policyMatches(policy: Policy, connection: PolicyConnection): boolean {
  return policy.rules.some(({ clauses }) =>
    clauses.every(
      ({ matches }) => matches.length === 0 || matches.some((match) => matchMatches(match, connection)),
    ),
  );
}

function matchMatches(
  match: PolicyMatch,
  { sourceIdentity, sourceIp, destination }: PolicyConnection,
): boolean {
  const principal = sourceIdentity === undefined ? undefined : principalOf(sourceIdentity);
  const fields = [
    ...both(match.namespaces, match.notNamespaces, (value) => textHolds(value, sourceIdentity?.namespace)),
    ...both(match.principals, match.notPrincipals, (value) => textHolds(value, principal, 'spiffe://')),
    ...both(
      match.serviceAccounts,
      match.notServiceAccounts,
      (value) =>
        sourceIdentity?.namespace === value.namespace &&
        sourceIdentity.serviceAccount === value.serviceAccount,
    ),
    ...both(match.sourceIps, match.notSourceIps, (block) => cidrContains(block, sourceIp)),
    ...both(match.destinationIps, match.notDestinationIps, (block) => cidrContains(block, destination.ip)),
    ...both(match.destinationPorts, match.notDestinationPorts, (port) => port === destination.port),
  ];
  return fields.length > 0 && fields.every((holds) => holds);
}

function both<V>(
  values: readonly V[] = [],
  negated: readonly V[] = [],
  holds: (value: V) => boolean,
): readonly boolean[] {
  return [
    ...(values.length > 0 ? [values.some(holds)] : []),
    ...(negated.length > 0 ? [!negated.some(holds)] : []),
  ];
}

function textHolds(match: StringMatch, text: string | undefined, scheme = ''): boolean {
  if (text === undefined || text === '') return false;
  if (match.kind === 'presence') return true;
  if (match.kind === 'suffix') return text.endsWith(match.value);
  const value =
    scheme !== '' && match.value.startsWith(scheme) ? match.value.slice(scheme.length) : match.value;
  return match.kind === 'exact' ? text === value : text.startsWith(value);
}
