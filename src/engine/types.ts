// The contract between TypeScript, which decides, and the native engine, which moves the bytes.
// Every connection has an id; every id gets exactly one `closed` event, refused ones too.
import type { IpAddress, SocketAddress } from '../mesh/address.ts';

/** Packs thread, slot and generation into 53 bits: an id is never used for two connections. */
export type ConnectionId = number;

/** An open file descriptor. The receiver of a value of this type does not own it unless it says so. */
export type FileDescriptor = number;

/** Why a connection ended. A name here is a name in metrics, logs and documentation. */
export type CloseReason =
  | 'ok'
  | 'denied' // policy says no (HTTP 401 at the peer), or said so later
  | 'no_route' // nothing to send it to: no healthy endpoint, no such workload
  | 'no_waypoint' // a waypoint is configured and cannot be used
  | 'self_call' // the destination is the proxy itself
  | 'bad_request' // not CONNECT, a malformed authority, or one that is not served here (400)
  | 'connect_failed' // dial refused or timed out, to the peer or to the application
  | 'network_policy' // the dial to port 15008 timed out: something drops it on the way
  | 'tls_failure' // handshake failed: chain, identity, version, ALPN
  | 'h2_failure' // the peer does not speak HTTP/2 as it should
  | 'identity_error' // no certificate of our own to use
  | 'cert_revoked'
  | 'peer_status' // the peer answered CONNECT with another status (detail = status)
  | 'peer_reset' // the peer reset the stream (detail = HTTP/2 error code)
  | 'app_reset' // the application reset its socket
  | 'tunnel_lost'
  | 'decision_timeout'
  | 'limit' // a bound was reached: queue, streams, memory
  | 'drained' // closed at the drain deadline
  | 'closed_by_request'; // an operator asked

/** The engine gave an answer again that it was allowed to keep: it waits for none. */
export interface Reused {
  readonly ticket: number;
  /** Index into the choices that came with the ticket. */
  readonly choice: number;
}

/** A connection of the pod's application to the outside was captured. */
export interface OutboundEvent {
  readonly kind: 'outbound';
  readonly id: ConnectionId;
  readonly reused?: Reused;
  /** `<32 hex>-<16 hex>`: the two ids of its traceparent. */
  readonly trace: string;
  readonly podId: string;
  readonly client: SocketAddress;
  readonly originalDst: SocketAddress;
}

/** A connection from outside arrived in the pod without a tunnel. */
export interface PlaintextEvent {
  readonly kind: 'plaintext';
  readonly id: ConnectionId;
  readonly podId: string;
  readonly client: SocketAddress;
  readonly originalDst: SocketAddress;
}

/** A CONNECT request arrived over an authenticated tunnel. */
export interface ConnectEvent {
  readonly kind: 'connect';
  readonly id: ConnectionId;
  readonly reused?: Reused;
  readonly podId: string;
  /** The peer's end of the tunnel. */
  readonly peer: SocketAddress;
  /** Our end of the tunnel: the address the peer dialled, port 15008. */
  readonly local: SocketAddress;
  /** The verified SPIFFE id of the peer. */
  readonly peerIdentity: string;
  /** `:authority` as received. What is not CONNECT never gets here: the engine answers 400 and counts it. */
  readonly authority: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** Bytes can flow: 200 received, or the dial to the application or plain peer succeeded. */
export interface ConnectedEvent {
  readonly kind: 'connected';
  readonly id: ConnectionId;
  readonly tunnelId: number;
  readonly tunnelIsNew: boolean;
  /** From accept to connected, microseconds. */
  readonly setupUs: number;
  /** Response headers of the peer (its `baggage`), for outbound tunnels; else empty. */
  readonly headers: readonly (readonly [string, string])[];
  /** The SPIFFE id the peer proved, for outbound tunnels; else empty. */
  readonly peerIdentity: string;
}

export interface ClosedEvent {
  readonly kind: 'closed';
  readonly id: ConnectionId;
  /** Payload bytes from the initiator of the connection towards its target. */
  readonly bytesSent: number;
  /** Payload bytes from the target towards the initiator. */
  readonly bytesReceived: number;
  readonly durationMs: number;
  readonly reason: CloseReason;
  /** errno, HTTP status, HTTP/2 error code or TLS alert, by reason; 0 if there is none. */
  readonly detail: number;
  /** Of a connection between two pods of the engine that is `drained`: the one whose pod was removed. */
  readonly endedBy: 'initiator' | 'target' | 'engine';
  /** `app_reset` only: who reset it had sent its end before, and all of it was delivered. */
  readonly afterEnd: boolean;
}

export interface TunnelUpEvent {
  readonly kind: 'tunnelUp';
  readonly tunnelId: number;
  readonly direction: 'inbound' | 'outbound';
  readonly podId: string;
  readonly peer: SocketAddress;
  readonly peerIdentity: string;
  readonly handshakeUs: number;
}

/** A tunnel ended, or one never came up (`peerIdentity` is then empty). */
export interface TunnelDownEvent {
  readonly kind: 'tunnelDown';
  readonly tunnelId: number;
  readonly direction: 'inbound' | 'outbound';
  readonly podId: string;
  readonly peer: SocketAddress;
  readonly peerIdentity: string;
  readonly reason: CloseReason;
  readonly detail: number;
  /** What OpenSSL or nghttp2 said, for the log; may be empty. */
  readonly message: string;
}

/** A bound was reached: `queue` names it, `count` says how often since the last such event. */
export interface OverloadEvent {
  readonly kind: 'overload';
  readonly queue: string;
  readonly count: number;
}

export type EngineEvent =
  | OutboundEvent
  | PlaintextEvent
  | ConnectEvent
  | ConnectedEvent
  | ClosedEvent
  | TunnelUpEvent
  | TunnelDownEvent
  | OverloadEvent;

export interface TunnelDecision {
  readonly kind: 'tunnel';
  /** Where to dial: the peer's HBONE port. */
  readonly via: SocketAddress;
  readonly authority: string;
  /** Name of the identity (see `setIdentity`) to present. */
  readonly tlsIdentity: string;
  /** SPIFFE ids of which the peer must prove one. Never empty. */
  readonly expectedIdentities: readonly string[];
  /** In values `{client}` stands for the client's address and port, `{trace}` for the event's `trace`. */
  readonly headers: readonly (readonly [string, string])[];
}

/** What the engine may answer by itself to the pod's next connections to the same destination. */
export interface OutboundReuse {
  /** Names this answer in `Reused`; a positive integer, never used twice. */
  readonly ticket: number;
  /** The answer is given only while this is the engine's epoch. */
  readonly epoch: number;
  /** One of them is drawn for each connection. Weights are positive integers. */
  readonly choices: readonly { readonly weight: number; readonly decision: TunnelDecision }[];
}

/** The delivery may be repeated for later requests of the same tunnel with this authority. */
export interface InboundReuse {
  readonly ticket: number;
  readonly epoch: number;
  readonly authority: string;
}

/** The answer to `outbound`. */
export type OutboundDecision =
  | TunnelDecision
  | { readonly kind: 'plain'; readonly to: SocketAddress }
  /** Joined with the application of another pod of this engine, with no wire between. Refused (`connect_failed`) if that
   *  pod is not there any more. One connection for both pods: `closed` comes once, and the removal of either ends it. */
  | {
      readonly kind: 'direct';
      readonly podId: string;
      /** The application: an address of that pod. */
      readonly to: SocketAddress;
      /** The address the application shall see as its client's; the engine picks the port. */
      readonly source?: IpAddress;
    }
  | {
      readonly kind: 'refuse';
      readonly reason: CloseReason;
      /** What a peer would have answered CONNECT with: becomes the detail of `closed`. */
      readonly status?: number;
    };

/** The answer to `plaintext` and `connect`. */
export type InboundDecision =
  | {
      readonly kind: 'deliver';
      /** The application: an address of the pod itself. */
      readonly to: SocketAddress;
      /** The address the application shall see as its client's; the engine picks the port. */
      readonly source?: IpAddress;
      /** Headers of the 200 (ignored for plaintext). */
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly kind: 'reject'; readonly status: number; readonly reason: CloseReason };

/** The three listening sockets of a pod, made inside its network namespace on ephemeral ports. */
export interface Listeners {
  readonly outbound: FileDescriptor;
  readonly plaintext: FileDescriptor;
  readonly hbone: FileDescriptor;
}

export interface TlsIdentity {
  /** Name used in decisions: the SPIFFE id. */
  readonly name: string;
  /** PEM, leaf first. */
  readonly certificateChain: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
  /** PEM, one or more roots that peers are verified against. */
  readonly roots: string;
  /** A client that connects to a pod of this identity must be of one of these trust domains. */
  readonly trustDomains: readonly string[];
}

export interface EngineLimits {
  readonly undecidedPerPod: number;
  readonly undecidedTotal: number;
  readonly streamsPerTunnel: number;
  readonly handshakesPerThread: number;
  readonly handshakesPerSource: number;
  readonly tunnelsPerSource: number;
  /** Tunnels that peers have dialled, of the whole node. */
  readonly inboundTunnels: number;
  /** At once; a tenth of it per second. */
  readonly failedHandshakesPerSource: number;
  readonly bufferBytes: number;
  readonly idleTunnels: number;
  /** File descriptors below the limit of the process that connections do not get; at most a quarter of it. */
  readonly reservedDescriptors: number;
}

export interface EngineTimeouts {
  readonly decisionMs: number;
  readonly dialMs: number;
  readonly handshakeMs: number;
  readonly prefaceMs: number;
  readonly connectResponseMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** While memory is exhausted, streams whose application takes nothing for so long are reset, the largest first. */
  readonly stalledStreamMs: number;
  readonly idleTunnelMs: number;
}

export interface EngineOptions {
  /** 0 = max(2, a quarter of the CPUs that affinity and cgroup allow). */
  readonly threads: number;
  /** SO_MARK of every socket the engine makes, except those to the local application. */
  readonly mark: number;
  /** TLS groups in OpenSSL's notation. */
  readonly groups: string;
  readonly limits: EngineLimits;
  readonly timeouts: EngineTimeouts;
}

export interface EngineStats {
  readonly connections: number;
  readonly undecided: number;
  readonly tunnelsInbound: number;
  readonly tunnelsOutbound: number;
  readonly bufferedBytes: number;
  /** File descriptors that the process may have open before connections are refused. */
  readonly descriptorsMax: number;
  /** Choices of answers that are kept to be given again. */
  readonly rememberedChoices: number;
  /** Refusals and protocol violations since start, by name. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Byte counts of a live connection. */
export interface LiveBytes {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** What the rest of Culvert sees of the engine. */
export interface Engine {
  /**
   * Makes the pod's listeners inside `netns`, or uses copies of those `inherited`, and starts accepting. Idempotent by
   * podId. Throws ERR_CULVERT_ENGINE_DRAINING once `drain` was called, and ERR_CULVERT_ENGINE_FAILED with errno EINVAL
   * if what is inherited are not such listeners as it would make.
   */
  addPod(
    podId: string,
    netns: FileDescriptor,
    options: { readonly tlsIdentity: string; readonly ipv6: boolean; readonly inherited?: Listeners },
  ): Listeners;
  /** GOAWAY to the pod's tunnels and no new ones; listeners close; streams have until the deadline. */
  removePod(podId: string, drainMs: number): void;
  /** Replaces what a name stands for; running tunnels keep theirs and retire. */
  setIdentity(identity: TlsIdentity): void;
  removeIdentity(name: string): void;
  decideOutbound(id: ConnectionId, decision: OutboundDecision, reuse?: OutboundReuse): void;
  decideInbound(id: ConnectionId, decision: InboundDecision, reuse?: InboundReuse): void;
  /** From now on no answer of another epoch is given again. */
  setEpoch(epoch: number): void;
  /** Resets these connections at both ends. */
  closeConnections(ids: readonly ConnectionId[], reason: CloseReason): void;
  /** Resolves when nothing is open any more or the deadline has passed and the rest was closed. */
  drain(deadlineMs: number): Promise<void>;
  stats(): EngineStats;
  liveBytes(id: ConnectionId): LiveBytes | undefined;
  /** Stops and joins the threads; everything open is closed. Idempotent. */
  close(): void;
}

export type EngineEventHandler = (events: readonly EngineEvent[]) => void;
