// One connection as the node proxy remembers it, from the decision to its last line in the access log.
import type { PolicyConnection } from '../authz/connection.ts';
import type { CloseReason, ConnectionId } from '../engine/types.ts';
import type { SocketAddress } from '../mesh/address.ts';
import type { Service } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Baggage } from './headers.ts';

export type Direction = 'inbound' | 'outbound';

/** How a connection is carried. `same_node`: both pods are captured here, their identities are known from that, and the
 *  two sockets are joined without a wire or TLS between. */
export type Security = 'mutual_tls' | 'same_node' | 'plaintext';

/** One end of a connection. What is absent is not known. */
export interface Party {
  readonly address: SocketAddress;
  readonly workload?: Workload;
  /** SPIFFE id: proven by the peer, or our own. */
  readonly identity?: string;
  /** What the peer says of itself; for telemetry where the workload is not known. */
  readonly baggage?: Baggage;
}

/** Why a connection was not let through at the decision. */
export interface Refusal {
  readonly reason: CloseReason;
  readonly message: string;
  /** `namespace/name` of the policy that denied. */
  readonly policy?: string | undefined;
}

export interface Connection {
  readonly id: ConnectionId;
  readonly podId: string;
  readonly direction: Direction;
  /** Milliseconds since the epoch. */
  readonly openedMs: number;
  readonly security: Security;
  readonly source: Party;
  readonly destination: Party;
  /** The tunnel's other end (outbound) or our end of it (inbound), where there is a tunnel. */
  readonly hboneAddress?: SocketAddress;
  readonly service?: Service;
  /** The 32 hex digits of `traceparent`. */
  readonly traceId?: string;
  /** Inbound: what policies were asked about, to ask them again; the destination is looked up by its uid. */
  readonly authorization?: PolicyConnection;
  /** `namespace/name` of the policy that decided. */
  readonly policy?: string;
  /** Policies that would have denied it. */
  readonly dryRun?: readonly string[];
  readonly refusal?: Refusal;
}
