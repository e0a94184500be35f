// An authorization policy, as the mesh keeps it and as istio.security.Authorization carries it.
// A condition that is not understood must not widen what is allowed: such a policy denies all within its scope.
import type { Message } from '@bufbuild/protobuf';
import { create, fromBinary } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { Cidr } from '../mesh/address.ts';
import type {
  Policy,
  PolicyClause,
  PolicyMatch,
  PolicyRule,
  ServiceAccountMatch,
  StringMatch,
} from '../mesh/policy.ts';
import { policyKey } from '../mesh/policy.ts';
import { decodeCidr, encodeIp } from './codec-address.ts';
import type { InvalidResource } from './decoded.ts';
import { attempt, enumValue, portValue } from './decoded.ts';
import { FieldError } from './errors.ts';
import type * as wire from './generated/istio/security/authorization_pb.ts';
import {
  Action,
  AddressSchema,
  AuthorizationSchema,
  ClauseSchema,
  MatchSchema,
  RuleSchema,
  ServiceAccountMatchSchema,
  StringMatchSchema,
} from './generated/istio/security/authorization_pb.ts';

const scopes: readonly Policy['scope'][] = ['global', 'namespace', 'workload'];
const actions: readonly Policy['action'][] = ['allow', 'deny'];

/** What a resource says, or a policy that denies its whole scope together with the reason. */
export function decodePolicy(
  name: string,
  bytes: Uint8Array,
): { readonly policy: Policy; readonly problem?: InvalidResource } {
  const parsed = attempt(name, () => fromBinary(AuthorizationSchema, bytes));
  if (parsed.kind === 'invalid') return { policy: denyAll(name, undefined), problem: parsed.problem };
  const decoded = attempt(name, () => policyOf(name, parsed.value));
  return decoded.kind === 'valid'
    ? { policy: decoded.value }
    : { policy: denyAll(name, parsed.value), problem: decoded.problem };
}

function policyOf(name: string, message: wire.Authorization): Policy {
  if (policyKey(message) !== name) throw new FieldError('name', `is ${policyKey(message)} within`);
  return {
    name: message.name,
    namespace: message.namespace,
    scope: enumValue('scope', scopes, message.scope),
    action: enumValue('action', actions, message.action),
    rules: message.rules.map((rule, index) => decodeRule(`rules[${index}]`, rule)),
    dryRun: message.dryRun,
  };
}

/** Where even the scope is unknown: the namespace that the name states, or everything. */
function denyAll(key: string, message: wire.Authorization | undefined): Policy {
  const slash = key.indexOf('/');
  const namespace = key.slice(0, Math.max(0, slash));
  return {
    name: key.slice(slash + 1),
    namespace,
    scope: (message && scopes[message.scope]) ?? (namespace === '' ? 'global' : 'namespace'),
    action: 'deny',
    // An empty clause always matches.
    rules: [{ clauses: [{ matches: [] }] }],
    dryRun: message?.dryRun ?? false,
  };
}

function decodeRule(field: string, rule: wire.Rule): PolicyRule {
  refuseUnknown(field, rule);
  const clauses = rule.clauses.map((clause, index) => decodeClause(`${field}.clauses[${index}]`, clause));
  return { clauses };
}

function decodeClause(field: string, clause: wire.Clause): PolicyClause {
  refuseUnknown(field, clause);
  const matches = clause.matches.map((match, index) => decodeMatch(`${field}.matches[${index}]`, match));
  return { matches };
}

function decodeMatch(field: string, match: wire.Match): PolicyMatch {
  refuseUnknown(field, match);
  if (match.extensions.length > 0) throw new FieldError(`${field}.extensions`, 'is not supported');
  const of = (name: string): string => `${field}.${name}`;
  return withoutEmpty({
    namespaces: decodeStrings(of('namespaces'), match.namespaces),
    notNamespaces: decodeStrings(of('not_namespaces'), match.notNamespaces),
    principals: decodeStrings(of('principals'), match.principals),
    notPrincipals: decodeStrings(of('not_principals'), match.notPrincipals),
    serviceAccounts: decodeAccounts(of('service_accounts'), match.serviceAccounts),
    notServiceAccounts: decodeAccounts(of('not_service_accounts'), match.notServiceAccounts),
    sourceIps: decodeBlocks(of('source_ips'), match.sourceIps),
    notSourceIps: decodeBlocks(of('not_source_ips'), match.notSourceIps),
    destinationIps: decodeBlocks(of('destination_ips'), match.destinationIps),
    notDestinationIps: decodeBlocks(of('not_destination_ips'), match.notDestinationIps),
    destinationPorts: match.destinationPorts.map((port) => portValue(of('destination_ports'), port)),
    notDestinationPorts: match.notDestinationPorts.map((port) =>
      portValue(of('not_destination_ports'), port),
    ),
  });
}

/** A field of a later version may be a condition: leaving it out would match more than was meant. */
function refuseUnknown(field: string, message: Message): void {
  const unknown = message.$unknown?.[0];
  if (unknown !== undefined) throw new FieldError(field, `has an unknown field (number ${unknown.no})`);
}

function decodeStrings(field: string, matches: readonly wire.StringMatch[]): StringMatch[] {
  return matches.map(({ matchType }) => {
    switch (matchType.case) {
      case 'exact':
      case 'prefix':
      case 'suffix':
        return { kind: matchType.case, value: matchType.value };
      case 'presence':
        return { kind: 'presence' };
      default:
        throw new FieldError(field, 'has a match of an unknown kind');
    }
  });
}

function decodeAccounts(field: string, accounts: readonly wire.ServiceAccountMatch[]): ServiceAccountMatch[] {
  return accounts.map((account) => {
    refuseUnknown(field, account);
    return { namespace: account.namespace, serviceAccount: account.serviceAccount };
  });
}

function decodeBlocks(field: string, blocks: readonly wire.Address[]): Cidr[] {
  return blocks.map((block) => decodeCidr(field, block.address, block.length));
}

/** Leaves out the fields that say nothing. */
function withoutEmpty(match: Record<keyof PolicyMatch, readonly unknown[]>): PolicyMatch {
  return Object.fromEntries(Object.entries(match).filter(([, values]) => values.length > 0));
}

export function encodePolicy(policy: Policy): wire.Authorization {
  return create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: scopes.indexOf(policy.scope) as wire.Scope,
    action: policy.action === 'deny' ? Action.DENY : Action.ALLOW,
    rules: policy.rules.map((rule) =>
      create(RuleSchema, {
        clauses: rule.clauses.map((clause) =>
          create(ClauseSchema, { matches: clause.matches.map(encodeMatch) }),
        ),
      }),
    ),
    dryRun: policy.dryRun,
  });
}

function encodeMatch(match: PolicyMatch): wire.Match {
  return create(MatchSchema, {
    namespaces: encodeStrings(match.namespaces),
    notNamespaces: encodeStrings(match.notNamespaces),
    principals: encodeStrings(match.principals),
    notPrincipals: encodeStrings(match.notPrincipals),
    serviceAccounts: encodeAccounts(match.serviceAccounts),
    notServiceAccounts: encodeAccounts(match.notServiceAccounts),
    sourceIps: encodeBlocks(match.sourceIps),
    notSourceIps: encodeBlocks(match.notSourceIps),
    destinationIps: encodeBlocks(match.destinationIps),
    notDestinationIps: encodeBlocks(match.notDestinationIps),
    destinationPorts: [...(match.destinationPorts ?? [])],
    notDestinationPorts: [...(match.notDestinationPorts ?? [])],
  });
}

function encodeStrings(matches: readonly StringMatch[] = []): wire.StringMatch[] {
  return matches.map((match) =>
    create(StringMatchSchema, {
      matchType:
        match.kind === 'presence'
          ? { case: 'presence', value: create(EmptySchema) }
          : { case: match.kind, value: match.value },
    }),
  );
}

function encodeAccounts(accounts: readonly ServiceAccountMatch[] = []): wire.ServiceAccountMatch[] {
  return accounts.map((account) => create(ServiceAccountMatchSchema, account));
}

function encodeBlocks(blocks: readonly Cidr[] = []): wire.Address[] {
  return blocks.map((block) =>
    create(AddressSchema, { address: encodeIp(block.address), length: block.length }),
  );
}
