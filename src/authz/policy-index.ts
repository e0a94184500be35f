// The policies that apply to one destination, found by who asks: hundreds of policies that each name a few clients cost no
// more than one. A policy is looked up by a value without which none of its rules can match; where a rule has no such
// value, the policy is asked each time. What is looked up is still evaluated: the index leaves out, it never decides.
import type { Policy, PolicyMatch, PolicyRule, StringMatch } from '../mesh/policy.ts';
import { blockBits } from './address-bits.ts';
import type { Subject } from './connection.ts';
import { matchingRule } from './evaluate.ts';
import { withoutScheme } from './fields.ts';
import { PrefixIndex } from './prefixes.ts';

/** A policy that would be found by more values than these is asked each time: its own sets are quick. */
const keysMax = 32;

/** Policies that do the same, in an order that matters: the first that matches is the one that is named. */
export class PolicyIndex {
  readonly policies: readonly Policy[];
  readonly #always: number[] = [];
  readonly #questions: readonly QuestionIndex[];

  constructor(policies: readonly Policy[]) {
    this.policies = policies;
    const filed = new Map<Question, Filed>();
    policies.forEach((policy, position) => {
      const keys = keysOf(policy);
      if (keys === undefined) this.#always.push(position);
      else for (const key of keys) file(filed, key, position);
    });
    this.#questions = [...filed].map(([question, { exact, prefix }]) => ({
      question,
      exact,
      ...(prefix.size > 0 && { prefixes: new PrefixIndex(prefix) }),
    }));
  }

  /** The first policy that matches. `looked` is called with each one that is evaluated. */
  first(subject: Subject, looked?: (policy: Policy) => void): Policy | undefined {
    let found = this.policies.length;
    for (const positions of this.#candidates(subject))
      for (const position of positions) {
        if (position >= found) break;
        if (this.#matches(position, subject, looked)) found = position;
      }
    return this.policies[found];
  }

  /** Every policy that matches, in order. */
  all(subject: Subject, looked?: (policy: Policy) => void): readonly Policy[] {
    const positions = new Set(this.#candidates(subject).flat());
    const matching = [...positions].filter((position) => this.#matches(position, subject, looked));
    return matching.sort((a, b) => a - b).flatMap((position) => this.policies[position] ?? []);
  }

  #matches(position: number, subject: Subject, looked?: (policy: Policy) => void): boolean {
    const policy = this.policies[position];
    if (policy === undefined) return false;
    looked?.(policy);
    return matchingRule(policy, subject) >= 0;
  }

  #candidates(subject: Subject): readonly (readonly number[])[] {
    const lists: (readonly number[])[] = [this.#always];
    for (const { question, exact, prefixes } of this.#questions) {
      const text = answers[question](subject);
      if (text === undefined) continue;
      const list = exact.get(text);
      if (list !== undefined) lists.push(list);
      prefixes?.collect(text, lists);
    }
    return lists;
  }
}

type Question = 'principal' | 'account' | 'namespace' | 'source' | 'port';

/** What is looked up; an absent answer is found nowhere. */
const answers: Readonly<Record<Question, (subject: Subject) => string | undefined>> = {
  principal: ({ principal }) => principal,
  // By its name alone, whatever its namespace.
  account: ({ identity }) => identity?.serviceAccount,
  namespace: ({ identity }) => identity?.namespace,
  source: ({ source }) => source,
  port: ({ destinationPort }) => String(destinationPort),
};

interface QuestionIndex {
  readonly question: Question;
  readonly exact: ReadonlyMap<string, readonly number[]>;
  readonly prefixes?: PrefixIndex<readonly number[]>;
}

interface Filed {
  readonly exact: Map<string, number[]>;
  readonly prefix: Map<string, number[]>;
}

interface Key {
  readonly question: Question;
  readonly kind: 'exact' | 'prefix';
  readonly value: string;
}

function file(filed: Map<Question, Filed>, { question, kind, value }: Key, position: number): void {
  let lists = filed.get(question);
  if (lists === undefined) filed.set(question, (lists = { exact: new Map(), prefix: new Map() }));
  const list = lists[kind].get(value);
  if (list === undefined) lists[kind].set(value, [position]);
  else if (list.at(-1) !== position) list.push(position);
}

/** Values of which a subject must have one for the policy to match; undefined if there is no such list. Worked out once per
 *  policy: a change of one among hundreds makes a new index of all of them. */
function keysOf(policy: Policy): readonly Key[] | undefined {
  let keys = keysOfPolicies.get(policy);
  if (keys === undefined) keysOfPolicies.set(policy, (keys = findKeys(policy) ?? 'none'));
  return keys === 'none' ? undefined : keys;
}

const keysOfPolicies = new WeakMap<Policy, readonly Key[] | 'none'>();

function findKeys(policy: Policy): readonly Key[] | undefined {
  const keys: Key[] = [];
  for (const rule of policy.rules) {
    const own = keysOfRule(rule);
    if (own === undefined || keys.length + own.length > keysMax) return undefined;
    keys.push(...own);
  }
  return keys;
}

/** All clauses of a rule must match: those of one of them will do. */
function keysOfRule({ clauses }: PolicyRule): readonly Key[] | undefined {
  let best: readonly Key[] | undefined;
  for (const { matches } of clauses) {
    if (matches.length === 0) continue;
    const each = matches.map(keysOfMatch);
    const keys = each.every((list) => list !== undefined) ? each.flat() : undefined;
    if (keys !== undefined && (best === undefined || keys.length < best.length)) best = keys;
  }
  return best;
}

/** All fields of a match must hold: the values of the one that tells clients apart best will do. */
function keysOfMatch(match: PolicyMatch): readonly Key[] | undefined {
  const {
    principals = [],
    serviceAccounts = [],
    namespaces = [],
    sourceIps = [],
    destinationPorts = [],
  } = match;
  const keys = (
    question: Question,
    kind: Key['kind'],
    values: readonly string[],
  ): readonly Key[] | undefined =>
    values.length === 0 ? undefined : values.map((value) => ({ question, kind, value }));
  return (
    keysOfTexts('principal', principals.map(withoutScheme)) ??
    keys(
      'account',
      'exact',
      serviceAccounts.map(({ serviceAccount }) => serviceAccount),
    ) ??
    keysOfTexts('namespace', namespaces) ??
    keys('source', 'prefix', sourceIps.map(blockBits)) ??
    keys('port', 'exact', destinationPorts.map(String))
  );
}

/** Undefined if there are none, or some that can be found by neither their beginning nor the whole. */
function keysOfTexts(question: Question, matches: readonly StringMatch[]): readonly Key[] | undefined {
  const keys = matches.flatMap((match) =>
    match.kind === 'exact' || match.kind === 'prefix'
      ? [{ question, kind: match.kind, value: match.value }]
      : [],
  );
  return keys.length === 0 || keys.length < matches.length ? undefined : keys;
}
