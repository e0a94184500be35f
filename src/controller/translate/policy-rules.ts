// Rules of an AuthorizationPolicy as a node evaluates them. A node sees addresses, ports and identities, not requests:
// what asks for HTTP makes an ALLOW rule match nothing and a DENY rule match whatever else it says, so that either
// way less is let through than was asked for.
import type { PolicyClause, PolicyMatch, PolicyRule } from '../../mesh/policy.ts';
import { PolicyNotUnderstood } from '../errors.ts';
import type { ConditionSpec, OperationSpec, PolicyRuleSpec, SourceSpec } from '../objects/policy.ts';
import type { FieldPath } from '../problem.ts';
import { cidrMatches, portMatches, principalMatches } from './match.ts';
import { serviceAccountMatches, stringMatches } from './match.ts';

export interface TranslatedRule {
  /** Absent if the rule matches nothing here. */
  readonly rule?: PolicyRule;
  /** Fields that only a waypoint can look at. */
  readonly http: readonly FieldPath[];
}

const httpSourceFields = [
  'requestPrincipals',
  'notRequestPrincipals',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
] as const;
const httpOperationFields = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;

/** Throws PolicyNotUnderstood. */
export function translateRule(
  spec: PolicyRuleSpec,
  action: 'allow' | 'deny',
  namespace: string,
  path: FieldPath,
): TranslatedRule {
  const http: FieldPath[] = [];
  const clauses: PolicyClause[] = [];
  const add = (matches: readonly PolicyMatch[]): void => {
    // Matches are ORed: one that says nothing about addresses and identities holds for all, so the clause does.
    if (!matches.some(saysNothing)) clauses.push({ matches });
  };
  if (spec.from !== undefined)
    add(
      spec.from.map(({ source }, i) => sourceMatch(source, namespace, [...path, 'from', i, 'source'], http)),
    );
  if (spec.to !== undefined)
    add(spec.to.map(({ operation }, i) => operationMatch(operation, [...path, 'to', i, 'operation'], http)));
  spec.when?.forEach((condition, i) => add([conditionMatch(condition, [...path, 'when', i], http)]));
  if (action === 'allow' && http.length > 0) return { http };
  return { rule: { clauses }, http };
}

function sourceMatch(source: SourceSpec, namespace: string, path: FieldPath, http: FieldPath[]): PolicyMatch {
  for (const field of httpSourceFields) if (source[field] !== undefined) http.push([...path, field]);
  const at = (field: keyof SourceSpec): FieldPath => [...path, field];
  return dropEmpty({
    principals: principalMatches(source.principals, at('principals')),
    notPrincipals: principalMatches(source.notPrincipals, at('notPrincipals')),
    namespaces: stringMatches(source.namespaces, at('namespaces')),
    notNamespaces: stringMatches(source.notNamespaces, at('notNamespaces')),
    serviceAccounts: serviceAccountMatches(source.serviceAccounts, namespace, at('serviceAccounts')),
    notServiceAccounts: serviceAccountMatches(source.notServiceAccounts, namespace, at('notServiceAccounts')),
    sourceIps: cidrMatches(source.ipBlocks, at('ipBlocks')),
    notSourceIps: cidrMatches(source.notIpBlocks, at('notIpBlocks')),
  });
}

function operationMatch(operation: OperationSpec, path: FieldPath, http: FieldPath[]): PolicyMatch {
  for (const field of httpOperationFields) if (operation[field] !== undefined) http.push([...path, field]);
  return dropEmpty({
    destinationPorts: portMatches(operation.ports, [...path, 'ports']),
    notDestinationPorts: portMatches(operation.notPorts, [...path, 'notPorts']),
  });
}

function conditionMatch(condition: ConditionSpec, path: FieldPath, http: FieldPath[]): PolicyMatch {
  const { values, notValues } = condition;
  const [at, notAt] = [
    [...path, 'values'],
    [...path, 'notValues'],
  ];
  switch (condition.key) {
    case 'source.ip':
      return dropEmpty({ sourceIps: cidrMatches(values, at), notSourceIps: cidrMatches(notValues, notAt) });
    case 'source.namespace':
      return dropEmpty({
        namespaces: stringMatches(values, at),
        notNamespaces: stringMatches(notValues, notAt),
      });
    case 'source.principal':
      return dropEmpty({
        principals: principalMatches(values, at),
        notPrincipals: principalMatches(notValues, notAt),
      });
    case 'destination.ip':
      return dropEmpty({
        destinationIps: cidrMatches(values, at),
        notDestinationIps: cidrMatches(notValues, notAt),
      });
    case 'destination.port':
      return dropEmpty({
        destinationPorts: portMatches(values, at),
        notDestinationPorts: portMatches(notValues, notAt),
      });
    default:
      if (!isHttpCondition(condition.key))
        throw new PolicyNotUnderstood([...path, 'key'], `"${condition.key}" is not a condition`);
      http.push([...path, 'key']);
      return {};
  }
}

function isHttpCondition(key: string): boolean {
  return /^(request\.(headers\[.+\]|auth\..+)|remote\.ip|connection\.sni|experimental\..+)$/.test(key);
}

function dropEmpty(match: PolicyMatch): PolicyMatch {
  return Object.fromEntries(Object.entries(match).filter(([, values]) => values.length > 0));
}

function saysNothing(match: PolicyMatch): boolean {
  return Object.keys(match).length === 0;
}
