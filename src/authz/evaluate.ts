// Whether one policy matches a connection. There is one evaluator: an explanation is the same evaluation observed.
import type { Policy, PolicyMatch } from '../mesh/policy.ts';
import type { Subject } from './connection.ts';
import type { CompiledField } from './fields.ts';
import { compileFields } from './fields.ts';

/** Where in a policy a field was looked at, by index, and what came out. */
export interface Observation {
  readonly rule: number;
  readonly clause: number;
  readonly match: number;
  readonly field: keyof PolicyMatch;
  readonly holds: boolean;
}

/** Called with each field that decided something, in the order of evaluation. */
export type Observer = (observation: Observation) => void;

/** Rules, of clauses, of matches, of the fields that say something. */
type CompiledRules = readonly (readonly (readonly (readonly CompiledField[])[])[])[];

/** Index of the first rule that matches, or -1. A policy without rules never matches. */
export function matchingRule(policy: Policy, subject: Subject, observe?: Observer): number {
  const rules = compiledRules(policy);
  for (let rule = 0; rule < rules.length; rule += 1)
    if (ruleMatches(rules, rule, subject, observe)) return rule;
  return -1;
}

/** Sets and ranges of a policy's values, made when it is first asked: a node never asks most of a mesh's policies. */
function compiledRules(policy: Policy): CompiledRules {
  let rules = compiled.get(policy);
  if (rules === undefined) {
    rules = policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(compileFields)));
    compiled.set(policy, rules);
  }
  return rules;
}

const compiled = new WeakMap<Policy, CompiledRules>();

function ruleMatches(rules: CompiledRules, rule: number, subject: Subject, observe?: Observer): boolean {
  const clauses = rules[rule] ?? [];
  for (let clause = 0; clause < clauses.length; clause += 1) {
    const matches = clauses[clause] ?? [];
    // An empty clause always matches.
    let one = matches.length === 0;
    for (let match = 0; match < matches.length && !one; match += 1)
      one = matchMatches(
        matches[match] ?? [],
        subject,
        observe && ((result) => observe({ rule, clause, match, ...result })),
      );
    if (!one) return false;
  }
  return true;
}

/** A match in which no field says anything never matches. */
function matchMatches(
  fields: readonly CompiledField[],
  subject: Subject,
  observe?: (result: Pick<Observation, 'field' | 'holds'>) => void,
): boolean {
  for (const { field, holds } of fields) {
    const result = holds(subject);
    observe?.({ field, holds: result });
    if (!result) return false;
  }
  return fields.length > 0;
}
