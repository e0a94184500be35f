// The fields of a policy match, one row each: what it is called, what it says, and how its values are asked all at once.
import type { Cidr } from '../mesh/address.ts';
import type { PolicyMatch, ServiceAccountMatch, StringMatch } from '../mesh/policy.ts';
import { blockBits } from './address-bits.ts';
import type { Subject } from './connection.ts';
import { PrefixSet } from './prefixes.ts';
import { stringSet } from './string-set.ts';

/** A field that says something: its name, and whether what it says is true of a subject. */
export interface CompiledField {
  readonly field: keyof PolicyMatch;
  readonly holds: (subject: Subject) => boolean;
}

/** The fields of a match that say something, in the order they are looked at. */
export function compileFields(match: PolicyMatch): readonly CompiledField[] {
  return questions.flatMap((question) => question(match));
}

/** Principals are written with and without the scheme; a suffix has none to begin with. */
export function withoutScheme(match: StringMatch): StringMatch {
  if (match.kind === 'presence' || match.kind === 'suffix' || !match.value.startsWith(scheme)) return match;
  return { kind: match.kind, value: match.value.slice(scheme.length) };
}

const scheme = 'spiffe://';

/** A pair of fields of `PolicyMatch` that ask the same question, one of them negated. */
interface Field<V> {
  readonly name: keyof PolicyMatch;
  readonly negatedName: keyof PolicyMatch;
  readonly values: (match: PolicyMatch) => readonly V[] | undefined;
  readonly negatedValues: (match: PolicyMatch) => readonly V[] | undefined;
  /** Makes the question whether one of these values is true of a subject. */
  readonly compile: (values: readonly V[]) => (subject: Subject) => boolean;
}

type Question = (match: PolicyMatch) => readonly CompiledField[];

/** Without an identity nothing is true of it: positive fields fail and negated ones hold, so that DENY with
 *  notPrincipals [presence] is "deny plaintext", which is what PeerAuthentication STRICT becomes. */
const questions: readonly Question[] = [
  asks<StringMatch>({
    name: 'namespaces',
    negatedName: 'notNamespaces',
    values: (match) => match.namespaces,
    negatedValues: (match) => match.notNamespaces,
    compile(values) {
      const set = stringSet(values);
      return (subject) => set.has(subject.identity?.namespace);
    },
  }),
  asks<StringMatch>({
    name: 'principals',
    negatedName: 'notPrincipals',
    values: (match) => match.principals,
    negatedValues: (match) => match.notPrincipals,
    compile(values) {
      const set = stringSet(values.map(withoutScheme));
      return (subject) => set.has(subject.principal);
    },
  }),
  asks<ServiceAccountMatch>({
    name: 'serviceAccounts',
    negatedName: 'notServiceAccounts',
    values: (match) => match.serviceAccounts,
    negatedValues: (match) => match.notServiceAccounts,
    compile: compileAccounts,
  }),
  asks<Cidr>({
    name: 'sourceIps',
    negatedName: 'notSourceIps',
    values: (match) => match.sourceIps,
    negatedValues: (match) => match.notSourceIps,
    compile(values) {
      const set = new PrefixSet(values.map(blockBits));
      return (subject) => set.has(subject.source);
    },
  }),
  asks<Cidr>({
    name: 'destinationIps',
    negatedName: 'notDestinationIps',
    values: (match) => match.destinationIps,
    negatedValues: (match) => match.notDestinationIps,
    compile(values) {
      const set = new PrefixSet(values.map(blockBits));
      return (subject) => set.has(subject.destination);
    },
  }),
  asks<number>({
    name: 'destinationPorts',
    negatedName: 'notDestinationPorts',
    values: (match) => match.destinationPorts,
    negatedValues: (match) => match.notDestinationPorts,
    compile(values) {
      const set = new Set(values);
      return (subject) => set.has(subject.destinationPort);
    },
  }),
];

function asks<V>(field: Field<V>): Question {
  return (match) => {
    const values = field.values(match) ?? [];
    const negated = field.negatedValues(match) ?? [];
    const fields: CompiledField[] = [];
    if (values.length > 0) fields.push({ field: field.name, holds: field.compile(values) });
    if (negated.length > 0) {
      const one = field.compile(negated);
      fields.push({ field: field.negatedName, holds: (subject) => !one(subject) });
    }
    return fields;
  };
}

function compileAccounts(values: readonly ServiceAccountMatch[]): (subject: Subject) => boolean {
  const byNamespace = new Map<string, Set<string>>();
  for (const { namespace, serviceAccount } of values) {
    const accounts = byNamespace.get(namespace);
    if (accounts === undefined) byNamespace.set(namespace, new Set([serviceAccount]));
    else accounts.add(serviceAccount);
  }
  return ({ identity }) =>
    identity !== undefined && (byNamespace.get(identity.namespace)?.has(identity.serviceAccount) ?? false);
}
