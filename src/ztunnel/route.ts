// What routing answers: a complete value that names the objects it came from. The engine's decision, the access log,
// the metrics and `culvert why` are all made from it.
import type { SocketAddress } from '../mesh/address.ts';
import type { EndpointRefusal } from '../mesh/endpoint.ts';
import type { Service } from '../mesh/service.ts';
import type { GatewayAddress, Workload } from '../mesh/workload.ts';
import type { CloseReason } from '../engine/types.ts';

/** A waypoint that stands before a destination, and what made it do so. */
export interface WaypointUse {
  readonly gateway: GatewayAddress;
  readonly configuredOn:
    | { readonly kind: 'service'; readonly service: Service }
    | { readonly kind: 'workload'; readonly workload: Workload };
  /** The waypoint's own service, where it is named by one. */
  readonly service?: Service;
  /** The instance that was chosen; absent if none could be. */
  readonly workload?: Workload;
}

/** What was found on the way to a route. */
export interface RouteContext {
  readonly source: Workload;
  readonly originalDst: SocketAddress;
  /** The service whose address was dialled. */
  readonly service?: Service;
  /** The workload that will serve it: the endpoint chosen, or the one dialled. Unknown behind a waypoint. */
  readonly destination?: Workload;
  readonly waypoint?: WaypointUse;
  /** Why the service had no endpoint. */
  readonly refusal?: EndpointRefusal;
}

/** Why a connection leaves without a tunnel. */
export type PlainCause =
  | 'unknown_destination' // nothing in the mesh has this address
  | 'passthrough' // the service says so
  | 'not_enrolled' // the destination does not speak HBONE
  | 'native_tunnel' // the source speaks HBONE by itself
  | 'own_address'; // the endpoint chosen is the source itself

export type OutboundRoute =
  | {
      readonly kind: 'tunnel';
      readonly context: RouteContext;
      /** HBONE port of the peer: of the destination, or of the waypoint. */
      readonly via: SocketAddress;
      /** What the CONNECT asks for. */
      readonly target: SocketAddress;
      readonly peer: Workload;
      /** SPIFFE ids of which the peer must prove one. */
      readonly expectedIdentities: readonly string[];
    }
  | {
      readonly kind: 'plain';
      readonly context: RouteContext;
      readonly to: SocketAddress;
      readonly cause: PlainCause;
    }
  | {
      readonly kind: 'refuse';
      readonly context: RouteContext;
      readonly reason: CloseReason;
      /** One sentence for the log. */
      readonly message: string;
    };

/** Where an inbound connection is delivered, before policies are asked. */
export type InboundRoute =
  | {
      readonly kind: 'deliver';
      readonly destination: Workload;
      /** The service that was named, for a host name in the authority. */
      readonly service?: Service;
      readonly to: SocketAddress;
    }
  | {
      readonly kind: 'reject';
      /** HTTP status of the answer; without meaning for plaintext. */
      readonly status: number;
      readonly reason: CloseReason;
      readonly message: string;
    };
