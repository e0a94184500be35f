// Who calls: a bearer token in the request's metadata, checked by whatever knows tokens.
import type { Metadata, StatusObject } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { messageOf } from '../runtime/errors.ts';
import type { Authenticator, Caller } from './types.ts';

export type Refusal = Pick<StatusObject, 'code' | 'details'>;

export type Authentication =
  | { readonly kind: 'accepted'; readonly caller: Caller }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Longest token that is looked at: above any service account token. */
const tokenLengthMax = 16 * 1024;

const authenticationTimeoutMs = 10_000;

/** A token that is not accepted is UNAUTHENTICATED; if nobody can tell, UNAVAILABLE: the caller comes back. */
export async function authenticate(
  authenticator: Authenticator,
  metadata: Metadata,
): Promise<Authentication> {
  const token = bearerToken(metadata);
  if (token === undefined) return refuse(status.UNAUTHENTICATED, 'a bearer token is required');
  try {
    const caller = await authenticator.authenticate(token, AbortSignal.timeout(authenticationTimeoutMs));
    return caller === undefined
      ? refuse(status.UNAUTHENTICATED, 'the token is not accepted')
      : { kind: 'accepted', caller };
  } catch (error) {
    return refuse(status.UNAVAILABLE, `the token could not be checked: ${messageOf(error)}`);
  }
}

function bearerToken(metadata: Metadata): string | undefined {
  const values = metadata.get('authorization');
  const [value] = values;
  if (values.length !== 1 || typeof value !== 'string' || value.length > tokenLengthMax) return undefined;
  return /^Bearer +(\S+)$/i.exec(value)?.[1];
}

function refuse(code: status, details: string): Authentication {
  return { kind: 'refused', refusal: { code, details } };
}
