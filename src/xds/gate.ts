// Who has no token is turned away before a message is read: until then a call holds its headers and no more. grpc-js
// reads nothing of a call before an interceptor has passed its metadata on.
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import { Metadata as EmptyMetadata, ServerInterceptingCall } from '@grpc/grpc-js';
import type { Authentication } from './authentication.ts';
import { authenticate } from './authentication.ts';
import type { Authenticator } from './types.ts';

export interface Gate {
  readonly interceptor: ServerInterceptor;
  /** Of a call that passed: its handler has the same metadata. */
  authenticationOf(metadata: Metadata): Promise<Authentication>;
}

/** `refused` is told of each call that was turned away. Calls beyond `pendingMax` whose token is being checked are too. */
export function createGate(options: {
  readonly authenticator: Authenticator;
  readonly pendingMax: number;
  readonly overloaded: () => void;
  readonly refused: (peer: string, reason: string) => void;
}): Gate {
  const known = new WeakMap<Metadata, Authentication>();
  let pending = 0;
  return {
    interceptor: (_method, call) => {
      const turnAway = (code: number, details: string): void =>
        call.sendStatus({ code, details, metadata: new EmptyMetadata() });
      return new ServerInterceptingCall(call, {
        start: (next) =>
          next({
            onReceiveMetadata: (metadata, pass) => {
              if (pending >= options.pendingMax) {
                options.overloaded();
                return turnAway(8, 'too many calls are being authenticated'); // RESOURCE_EXHAUSTED
              }
              pending += 1;
              void authenticate(options.authenticator, metadata)
                .finally(() => (pending -= 1))
                .then((result) => {
                  known.set(metadata, result);
                  if (result.kind === 'accepted') return pass(metadata);
                  options.refused(call.getPeer(), result.refusal.details);
                  turnAway(result.refusal.code, result.refusal.details);
                });
            },
          }),
      });
    },
    authenticationOf: async (metadata) =>
      known.get(metadata) ?? (await authenticate(options.authenticator, metadata)),
  };
}
