// The fields of a policy match, one row each: what it is called, what it says, and whether that holds.
import type { Cidr } from '../mesh/address.ts';
import { ipToBytes } from '../mesh/address.ts';
import type { PolicyMatch, ServiceAccountMatch, StringMatch } from '../mesh/policy.ts';
import type { Subject } from './connection.ts';

/** A pair of fields of `PolicyMatch` that ask the same question, one of them negated. */
interface Field<V> {
  readonly name: keyof PolicyMatch;
  readonly negatedName: keyof PolicyMatch;
  readonly values: (match: PolicyMatch) => readonly V[] | undefined;
  readonly negatedValues: (match: PolicyMatch) => readonly V[] | undefined;
  /** Whether one value is true of the subject. */
  readonly holds: (value: V, subject: Subject) => boolean;
}

/** One field of a match that says something. */
export interface FieldResult {
  readonly field: keyof PolicyMatch;
  readonly holds: boolean;
}

/** Calls `visit` for each field that says something until it returns false. False if no field says anything. */
export function visitFields(
  match: PolicyMatch,
  subject: Subject,
  visit: (result: FieldResult) => boolean,
): boolean {
  let said = false;
  for (const question of questions) {
    const outcome = question(match, subject, visit);
    if (outcome === 'stop') return true;
    said ||= outcome === 'said';
  }
  return said;
}

type Question = (
  match: PolicyMatch,
  subject: Subject,
  visit: (result: FieldResult) => boolean,
) => 'silent' | 'said' | 'stop';

/** Without an identity nothing is true of it: positive fields fail and negated ones hold, so that DENY with
 *  notPrincipals [presence] is "deny plaintext", which is what PeerAuthentication STRICT becomes. */
const questions: readonly Question[] = [
  asks<StringMatch>({
    name: 'namespaces',
    negatedName: 'notNamespaces',
    values: (match) => match.namespaces,
    negatedValues: (match) => match.notNamespaces,
    holds: (value, subject) => stringMatches(value, subject.identity?.namespace),
  }),
  asks<StringMatch>({
    name: 'principals',
    negatedName: 'notPrincipals',
    values: (match) => match.principals,
    negatedValues: (match) => match.notPrincipals,
    holds: (value, subject) => stringMatches(withoutScheme(value), subject.principal),
  }),
  asks<ServiceAccountMatch>({
    name: 'serviceAccounts',
    negatedName: 'notServiceAccounts',
    values: (match) => match.serviceAccounts,
    negatedValues: (match) => match.notServiceAccounts,
    holds: (value, { identity }) =>
      identity !== undefined &&
      identity.namespace === value.namespace &&
      identity.serviceAccount === value.serviceAccount,
  }),
  asks<Cidr>({
    name: 'sourceIps',
    negatedName: 'notSourceIps',
    values: (match) => match.sourceIps,
    negatedValues: (match) => match.notSourceIps,
    holds: (block, subject) => blockHolds(block, subject.sourceBytes),
  }),
  asks<Cidr>({
    name: 'destinationIps',
    negatedName: 'notDestinationIps',
    values: (match) => match.destinationIps,
    negatedValues: (match) => match.notDestinationIps,
    holds: (block, subject) => blockHolds(block, subject.destinationBytes),
  }),
  asks<number>({
    name: 'destinationPorts',
    negatedName: 'notDestinationPorts',
    values: (match) => match.destinationPorts,
    negatedValues: (match) => match.notDestinationPorts,
    holds: (port, subject) => port === subject.destinationPort,
  }),
];

function asks<V>(field: Field<V>): Question {
  return (match, subject, visit) => {
    const values = field.values(match) ?? [];
    const negated = field.negatedValues(match) ?? [];
    const one = (value: V): boolean => field.holds(value, subject);
    if (values.length > 0 && !visit({ field: field.name, holds: values.some(one) })) return 'stop';
    if (negated.length > 0 && !visit({ field: field.negatedName, holds: !negated.some(one) })) return 'stop';
    return values.length > 0 || negated.length > 0 ? 'said' : 'silent';
  };
}

function stringMatches(match: StringMatch, text: string | undefined): boolean {
  if (text === undefined || text === '') return false;
  switch (match.kind) {
    case 'exact':
      return text === match.value;
    case 'prefix':
      return text.startsWith(match.value);
    case 'suffix':
      return text.endsWith(match.value);
    case 'presence':
      return true;
  }
}

/** Principals are written with and without the scheme; a suffix has none to begin with. */
function withoutScheme(match: StringMatch): StringMatch {
  if (match.kind === 'presence' || match.kind === 'suffix' || !match.value.startsWith(scheme)) return match;
  return { kind: match.kind, value: match.value.slice(scheme.length) };
}

const scheme = 'spiffe://';

/** Bytes of each block, parsed once: the address of a block is text, and a policy may have hundreds. */
const blockBytes = new WeakMap<Cidr, Uint8Array>();

function blockHolds(block: Cidr, address: Uint8Array): boolean {
  let bytes = blockBytes.get(block);
  if (bytes === undefined) blockBytes.set(block, (bytes = ipToBytes(block.address)));
  if (bytes.length !== address.length) return false;
  const whole = block.length >> 3;
  for (let i = 0; i < whole; i += 1) if (bytes[i] !== address[i]) return false;
  const rest = block.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask);
}
