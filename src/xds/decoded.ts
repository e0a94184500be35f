// The outcome of decoding one resource: its value, or which field cannot be understood and why.
import { messageOf } from '../runtime/errors.ts';
import { FieldError } from './errors.ts';

export interface InvalidResource {
  /** The resource's name on the wire. */
  readonly name: string;
  /** Empty if the message as a whole is no protobuf of its type. */
  readonly field: string;
  readonly reason: string;
}

export type Decoded<T> =
  | { readonly kind: 'valid'; readonly value: T }
  | { readonly kind: 'invalid'; readonly problem: InvalidResource };

/** Runs a decoder that throws FieldError for what it cannot understand, and protobuf's own errors for malformed bytes. */
export function attempt<T>(name: string, decode: () => T): Decoded<T> {
  try {
    return { kind: 'valid', value: decode() };
  } catch (error) {
    const field = error instanceof FieldError ? error.field : '';
    return { kind: 'invalid', problem: { name, field, reason: messageOf(error) } };
  }
}

/** `shop/cart: rules[0]: why`: as it stands in a NACK and in the log. */
export function describeProblem(problem: InvalidResource): string {
  return [problem.name, problem.field, problem.reason].filter((part) => part !== '').join(': ');
}

/** The entry of `table` at an enum's number. Throws FieldError for a number that is not in it. */
export function enumValue<T>(field: string, table: readonly (T | undefined)[], value: number): T {
  const found = table[value];
  if (found === undefined) throw new FieldError(field, `unknown value ${value}`);
  return found;
}

/** Throws FieldError unless `value` is a port number; 0 passes only where it has a meaning. */
export function portValue(field: string, value: number, lowest: 0 | 1 = 1): number {
  if (value < lowest || value > 65535) throw new FieldError(field, `${value} is not a port`);
  return value;
}
