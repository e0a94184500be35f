import type { IpAddress, SocketAddress } from '../mesh/address.ts';
import { ipToBytes } from '../mesh/address.ts';
import type { Identity } from '../mesh/identity.ts';
import { principalOf } from '../mesh/identity.ts';

/** What a policy can see of a connection. */
export interface PolicyConnection {
  /** Address of the peer: of the client, or of the waypoint that speaks for it. */
  readonly sourceIp: IpAddress;
  /** Who the peer has proven to be; absent for plaintext. */
  readonly sourceIdentity?: Identity;
  /** Where the application is reached: an address of the workload and its own port, not the service's. */
  readonly destination: SocketAddress;
}

/** A connection with what matching needs of it worked out once, whatever the number of policies. */
export interface Subject {
  readonly identity: Identity | undefined;
  /** Without `spiffe://`. */
  readonly principal: string | undefined;
  readonly sourceBytes: Uint8Array;
  readonly destinationBytes: Uint8Array;
  readonly destinationPort: number;
}

export function subjectOf(connection: PolicyConnection): Subject {
  const identity = connection.sourceIdentity;
  return {
    identity,
    principal: identity === undefined ? undefined : principalOf(identity),
    sourceBytes: ipToBytes(connection.sourceIp),
    destinationBytes: ipToBytes(connection.destination.ip),
    destinationPort: connection.destination.port,
  };
}
