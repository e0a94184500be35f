import type { IpAddress, SocketAddress } from '../mesh/address.ts';
import type { Identity } from '../mesh/identity.ts';
import { principalOf } from '../mesh/identity.ts';
import type { AddressBits } from './address-bits.ts';
import { addressBits } from './address-bits.ts';

/** What a policy can see of a connection. */
export interface PolicyConnection {
  /** Address of the peer: of the client, or of the waypoint that speaks for it. */
  readonly sourceIp: IpAddress;
  /** Who the peer has proven to be; absent for plaintext. */
  readonly sourceIdentity?: Identity;
  /** Where the application is reached: an address of the workload and its own port, not the service's. */
  readonly destination: SocketAddress;
}

/** A connection with what matching needs of it worked out once, and only if asked, whatever the number of policies. */
export class Subject {
  readonly identity: Identity | undefined;
  /** Without `spiffe://`. */
  readonly principal: string | undefined;
  readonly destinationPort: number;
  readonly #connection: PolicyConnection;
  #source: AddressBits | undefined;
  #destination: AddressBits | undefined;

  constructor(connection: PolicyConnection) {
    const identity = connection.sourceIdentity;
    this.identity = identity;
    this.principal = identity === undefined ? undefined : principalOf(identity);
    this.destinationPort = connection.destination.port;
    this.#connection = connection;
  }

  get source(): AddressBits {
    return (this.#source ??= addressBits(this.#connection.sourceIp));
  }

  get destination(): AddressBits {
    return (this.#destination ??= addressBits(this.#connection.destination.ip));
  }
}
