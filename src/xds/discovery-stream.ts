// One client's stream on the server: connects the state machines of its types to the wire.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger, RateLimitedLog } from '../runtime/logger.ts';
import type { Refusal } from './authentication.ts';
import type { DeltaLimits, DeltaPush, Receipt } from './delta.ts';
import { TypeSubscription } from './delta.ts';
import type { DeltaDiscoveryRequest } from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import { encodeResponse } from './response.ts';
import type { XdsServerStats } from './statistics.ts';
import type { Caller, ResourceSource, TypeUrl } from './types.ts';
import { typeUrls } from './types.ts';

export interface StreamContext {
  readonly source: ResourceSource;
  readonly limits: DeltaLimits & { readonly ackTimeoutMs: number };
  readonly stats: XdsServerStats;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rateLimit: RateLimitedLog;
}

/** What a status page shows of a client. */
export interface ConnectedClient {
  readonly caller: Caller;
  /** As the client names itself; empty before its first request. */
  readonly nodeId: string;
  readonly peer: string;
  readonly sinceMs: number;
  readonly types: readonly {
    readonly typeUrl: string;
    readonly wildcard: boolean;
    readonly awaitingAck: boolean;
    readonly lastRejection?: string;
  }[];
}

export type DiscoveryCall = ServerDuplexStream<DeltaDiscoveryRequest, Buffer>;

interface TypeState {
  readonly subscription: TypeSubscription;
  ackTimer: Timer | undefined;
  lastRejection: string | undefined;
}

/** Policies first: a workload must not be known before what restricts it. */
const pushOrder: readonly TypeUrl[] = [
  typeUrls.authorization,
  typeUrls.pod,
  typeUrls.address,
  typeUrls.workload,
];

const nodeIdLengthMax = 256;
const rejectionLengthMax = 2048;

export class DiscoveryStream {
  readonly caller: Caller;
  readonly #call: DiscoveryCall;
  readonly #context: StreamContext;
  readonly #types = new Map<TypeUrl, TypeState>();
  readonly #sinceMs: number;
  readonly #closed: () => void;
  #nodeId = '';
  #open = true;

  /** Takes the call over; `closed` is called once when it has ended, by whomever. */
  constructor(call: DiscoveryCall, caller: Caller, context: StreamContext, closed: () => void) {
    this.#call = call;
    this.caller = caller;
    this.#context = context;
    this.#closed = closed;
    this.#sinceMs = context.clock.now();
    call.on('data', (request: DeltaDiscoveryRequest) => this.#receive(request));
    call.on('end', () => this.end());
    call.on('cancelled', () => this.#release());
    call.on('error', () => this.#release());
    call.on('close', () => this.#release());
  }

  /** Sends whatever is new, as far as the client has acknowledged what it was sent before. */
  push(): void {
    for (const typeUrl of pushOrder) this.#pushType(typeUrl);
  }

  describe(): ConnectedClient {
    return {
      caller: this.caller,
      nodeId: this.#nodeId,
      peer: this.#call.getPeer(),
      sinceMs: this.#sinceMs,
      types: [...this.#types].map(([typeUrl, { subscription, lastRejection }]) => ({
        typeUrl,
        wildcard: subscription.wildcard,
        awaitingAck: subscription.outstanding !== undefined,
        ...(lastRejection !== undefined && { lastRejection }),
      })),
    };
  }

  /** Ends the stream, with a reason that the client sees if it is refused. */
  end(refusal?: Refusal): void {
    if (!this.#open) return;
    this.#release();
    if (refusal === undefined) this.#call.end();
    else this.#call.emit('error', Object.assign(new Error(refusal.details), refusal));
  }

  #receive(request: DeltaDiscoveryRequest): void {
    if (!this.#open) return;
    const { stats } = this.#context;
    stats.requests += 1;
    if (request.node !== undefined && this.#nodeId === '')
      this.#nodeId = request.node.id.slice(0, nodeIdLengthMax);
    const typeUrl = pushOrder.find((known) => known === request.typeUrl);
    if (typeUrl === undefined) {
      stats.requestsUnknownType += 1;
      this.#context.logger.debug('a type that is not served was asked for', {
        client: this.#name,
        type: request.typeUrl.slice(0, nodeIdLengthMax),
      });
      return;
    }
    const state = this.#stateOf(typeUrl);
    const rejection = request.errorDetail?.message;
    const receipt = state.subscription.receive({
      subscribe: request.resourceNamesSubscribe,
      unsubscribe: request.resourceNamesUnsubscribe,
      initialVersions: request.initialResourceVersions,
      nonce: request.responseNonce,
      ...(rejection !== undefined && { rejection }),
    });
    this.#settle(typeUrl, state, receipt, rejection);
    if (this.#open) this.#pushType(typeUrl);
  }

  #settle(typeUrl: TypeUrl, state: TypeState, receipt: Receipt, rejection: string | undefined): void {
    const { stats } = this.#context;
    switch (receipt) {
      case 'ack':
        stats.acks += 1;
        state.lastRejection = undefined;
        state.ackTimer?.cancel();
        break;
      case 'nack':
        stats.nacks += 1;
        state.lastRejection = (rejection ?? '').slice(0, rejectionLengthMax);
        state.ackTimer?.cancel();
        this.#reportRejection(typeUrl, state.lastRejection);
        break;
      case 'stale':
        stats.staleNonces += 1;
        break;
      case 'excess':
        stats.refusedLimit += 1;
        this.end({
          code: status.RESOURCE_EXHAUSTED,
          details: `more than ${this.#context.limits.namesMax} resources are asked for by name`,
        });
        break;
      case 'spontaneous':
        break;
    }
  }

  #reportRejection(typeUrl: string, reason: string): void {
    this.#context.rateLimit.try(`nack ${this.caller.name} ${typeUrl}`, (suppressed) =>
      this.#context.logger.warn('a client rejected resources', {
        client: this.#name,
        type: typeUrl,
        reason,
        suppressed,
      }),
    );
  }

  #pushType(typeUrl: TypeUrl): void {
    const state = this.#types.get(typeUrl);
    const { source } = this.#context;
    if (!this.#open || state === undefined || !source.ready) return;
    const push = state.subscription.next(source.resources(typeUrl, this.caller));
    if (push !== undefined) this.#send(typeUrl, state, push);
  }

  #send(typeUrl: TypeUrl, state: TypeState, push: DeltaPush): void {
    const { stats, clock, limits } = this.#context;
    const bytes = encodeResponse(typeUrl, push);
    stats.pushes += 1;
    stats.pushedBytes += bytes.length;
    stats.resourcesSent += push.changed.length;
    stats.removalsSent += push.removed.length;
    state.ackTimer?.cancel();
    state.ackTimer = clock.after(limits.ackTimeoutMs, () => {
      stats.refusedLimit += 1;
      this.end({ code: status.DEADLINE_EXCEEDED, details: 'a response was not acknowledged in time' });
    });
    // At most one response per type is unacknowledged, which bounds what is buffered here.
    this.#call.write(bytes);
  }

  #stateOf(typeUrl: TypeUrl): TypeState {
    let state = this.#types.get(typeUrl);
    if (state === undefined) {
      const subscription = new TypeSubscription(this.#context.limits);
      this.#types.set(typeUrl, (state = { subscription, ackTimer: undefined, lastRejection: undefined }));
    }
    return state;
  }

  get #name(): string {
    return this.#nodeId === '' ? this.caller.name : this.#nodeId;
  }

  #release(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const state of this.#types.values()) state.ackTimer?.cancel();
    this.#closed();
  }
}
