// Whether one policy matches a connection. There is one evaluator: an explanation is the same evaluation observed.
import type { Policy, PolicyClause, PolicyMatch, PolicyRule } from '../mesh/policy.ts';
import type { Subject } from './connection.ts';
import type { FieldResult } from './fields.ts';
import { visitFields } from './fields.ts';

/** Where in a policy a field was looked at, by index, and what came out. */
export interface Observation extends FieldResult {
  readonly rule: number;
  readonly clause: number;
  readonly match: number;
}

/** Called with each field that decided something, in the order of evaluation. */
export type Observer = (observation: Observation) => void;

interface Place {
  readonly rule: number;
  readonly clause: number;
  readonly match: number;
}

/** Index of the first rule that matches, or -1. A policy without rules never matches. */
export function matchingRule(policy: Policy, subject: Subject, observe?: Observer): number {
  return policy.rules.findIndex((rule, index) => ruleMatches(rule, subject, index, observe));
}

function ruleMatches(rule: PolicyRule, subject: Subject, index: number, observe?: Observer): boolean {
  return rule.clauses.every((clause, i) =>
    clauseMatches(clause, subject, { rule: index, clause: i, match: 0 }, observe),
  );
}

function clauseMatches(clause: PolicyClause, subject: Subject, place: Place, observe?: Observer): boolean {
  if (clause.matches.length === 0) return true;
  return clause.matches.some((match, i) => matchMatches(match, subject, { ...place, match: i }, observe));
}

function matchMatches(match: PolicyMatch, subject: Subject, place: Place, observe?: Observer): boolean {
  let all = true;
  const said = visitFields(match, subject, (result) => {
    observe?.({ ...place, ...result });
    all &&= result.holds;
    return all;
  });
  return said && all;
}
