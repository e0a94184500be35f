// Texts of a policy's rule as matches. A value that cannot be understood throws PolicyNotUnderstood: leaving it out
// would widen a DENY or narrow an ALLOW without a word, so the whole policy is denied instead.
import type { Cidr } from '../../mesh/address.ts';
import { parseCidr } from '../../mesh/address.ts';
import type { ServiceAccountMatch, StringMatch } from '../../mesh/policy.ts';
import { PolicyNotUnderstood } from '../errors.ts';
import type { FieldPath } from '../problem.ts';

type Values = readonly string[] | undefined;

/** `*`, `*suffix`, `prefix*` or the text itself, as Istio reads them. */
export function stringMatches(values: Values, path: FieldPath): readonly StringMatch[] {
  return (values ?? []).map((value, index) => {
    if (value === '*') return { kind: 'presence' };
    const inner = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
    if (inner.includes('*'))
      throw new PolicyNotUnderstood(
        [...path, index],
        `"${value}": one * at the start or at the end is understood`,
      );
    if (value.startsWith('*')) return { kind: 'suffix', value: inner };
    return { kind: inner === value ? 'exact' : 'prefix', value: inner };
  });
}

/** Like `stringMatches`; a principal is compared without its scheme and would never match with it. */
export function principalMatches(values: Values, path: FieldPath): readonly StringMatch[] {
  (values ?? []).forEach((value, index) => {
    if (value.startsWith('spiffe://'))
      throw new PolicyNotUnderstood([...path, index], `"${value}": principals are written without spiffe://`);
  });
  return stringMatches(values, path);
}

/** `namespace/name`, or the name of an account of the policy's own namespace. */
export function serviceAccountMatches(
  values: Values,
  namespace: string,
  path: FieldPath,
): readonly ServiceAccountMatch[] {
  return (values ?? []).map((value, index) => {
    const parts = value.split('/');
    const [first = '', second] = parts;
    const match =
      second === undefined
        ? { namespace, serviceAccount: first }
        : { namespace: first, serviceAccount: second };
    if (parts.length > 2 || match.namespace === '' || match.serviceAccount === '' || value.includes('*'))
      throw new PolicyNotUnderstood(
        [...path, index],
        `"${value}" is not a service account (name or namespace/name)`,
      );
    return match;
  });
}

export function cidrMatches(values: Values, path: FieldPath): readonly Cidr[] {
  return (values ?? []).map((value, index) => {
    const block = parseCidr(value);
    if (block === undefined)
      throw new PolicyNotUnderstood([...path, index], `"${value}" is not an address or a block of addresses`);
    return block;
  });
}

export function portMatches(values: Values, path: FieldPath): readonly number[] {
  return (values ?? []).map((value, index) => {
    const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
    if (port < 1 || port > 65535)
      throw new PolicyNotUnderstood([...path, index], `"${value}" is not a port number`);
    return port;
  });
}
