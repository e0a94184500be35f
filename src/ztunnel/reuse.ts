// Answers that the engine may give again without asking: an epoch is the time during which everything a decision was
// made from stays as it is. What the engine then reports becomes a connection's record here, and if it was let in by an
// answer of an epoch that has passed, the question is asked once more.
import type {
  ConnectEvent,
  InboundReuse,
  OutboundDecision,
  OutboundEvent,
  OutboundReuse,
  Reused,
} from '../engine/types.ts';
import type { Endpoint, EndpointQuery, EndpointSet } from '../mesh/endpoint.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Connection } from './connection.ts';
import type { DecisionContext, InboundOutcome } from './decide.ts';
import { decideOutbound, readmit } from './decide.ts';
import type { EndpointPicker } from './load-balancer.ts';

/** What is remembered of an answer: the record of a connection for each of its choices, to be made to fit. */
interface Ticket {
  readonly epoch: number;
  readonly records: readonly Connection[];
}

export interface OutboundAnswer {
  readonly decision: OutboundDecision;
  readonly connection: Connection;
  /** The destination's end, where it is of this node. */
  readonly peer?: Connection;
}

export interface ReusedConnection {
  readonly connection: Connection;
  /** Of an epoch that has passed: what it was let in by may no longer hold. */
  readonly stale: boolean;
}

/** A service with more endpoints is asked about each time: so many answers are dear to make and to keep. */
const choicesMax = 32;
const ticketsMax = 32_768;
const askedMax = 16_384;

export class Reuse {
  #epoch = 1;
  #lastTicket = 0;
  /** Oldest first. Tickets of past epochs stay until others need their place: events of theirs may be on the way. */
  readonly #tickets = new Map<number, Ticket>();
  /** What was asked in this epoch, and whether the answer was given to be kept: once is enough, and who could not keep
   *  it will not be able to a moment later. */
  readonly #asked = new Map<string, 'once' | 'kept'>();

  get epoch(): number {
    return this.#epoch;
  }

  /** Begins a new epoch and returns it. */
  advance(): number {
    this.#asked.clear();
    return (this.#epoch += 1);
  }

  /** Decides about an outbound connection; `reuse` is there if others to the same destination may have the answer. Only
   *  tunnels are ever reused. */
  decideOutbound(
    context: DecisionContext,
    event: OutboundEvent,
    decide: (context: DecisionContext) => OutboundAnswer = (each) => decideOutbound(each, event),
  ): OutboundAnswer & { readonly reuse?: OutboundReuse } {
    const draw = new ObservedDraw(context.picker);
    const outcome = decide({ ...context, picker: draw });
    if (outcome.decision.kind !== 'tunnel') return outcome;
    const endpoints = draw.alternatives;
    if (endpoints === undefined || endpoints.length > choicesMax) return outcome;
    const { podId, originalDst } = event;
    // Working out all choices pays only if the answer is wanted again.
    const times = endpoints.length > 1 ? 'twice' : 'once';
    if (!this.#mayKeep(`${podId} ${originalDst.ip} ${originalDst.port}`, times)) return outcome;
    const outcomes =
      endpoints.length < 2
        ? [{ ...outcome, weight: 1 }]
        : endpoints.map((endpoint) => ({
            ...decide({ ...context, picker: draw.fixedTo(endpoint) }),
            weight: endpoint.workload.capacity,
          }));
    const choices = outcomes.flatMap(({ decision, weight }) =>
      decision.kind === 'tunnel' && Number.isInteger(weight) && weight < 2 ** 24
        ? [{ weight, decision }]
        : [],
    );
    if (choices.length < outcomes.length) return outcome;
    const ticket = this.#keep(outcomes.map(({ connection }) => connection));
    return { ...outcome, reuse: { ticket, epoch: this.#epoch, choices } };
  }

  /** What allows an inbound answer to be given again; undefined for a refusal. */
  inbound(event: ConnectEvent, { decision, connection }: InboundOutcome): InboundReuse | undefined {
    if (decision.kind !== 'deliver') return undefined;
    const { podId, peer, authority } = event;
    if (!this.#mayKeep(`${podId} ${peer.ip} ${peer.port} ${authority}`, 'once')) return undefined;
    return { ticket: this.#keep([connection]), epoch: this.#epoch, authority };
  }

  /** The record of a connection that the engine has answered by itself; undefined if the ticket is forgotten. */
  outbound(event: OutboundEvent, reused: Reused, nowMs: number): ReusedConnection | undefined {
    const ticket = this.#tickets.get(reused.ticket);
    const record = ticket?.records[reused.choice];
    if (ticket === undefined || record === undefined) return undefined;
    const { id, client, trace } = event;
    const source = { ...record.source, address: client };
    return {
      connection: { ...record, id, openedMs: nowMs, source, traceId: trace.slice(0, 32) },
      stale: ticket.epoch !== this.#epoch,
    };
  }

  /** The same for a request of a peer. */
  connect(
    snapshot: MeshSnapshot,
    event: ConnectEvent,
    reused: Reused,
    nowMs: number,
  ): ReusedConnection | undefined {
    const ticket = this.#tickets.get(reused.ticket);
    const record = ticket?.records[0];
    if (ticket === undefined || record === undefined) return undefined;
    return { connection: readmit(snapshot, event, record, nowMs), stale: ticket.epoch !== this.#epoch };
  }

  #keep(records: readonly Connection[]): number {
    const oldest = this.#tickets.size >= ticketsMax ? this.#tickets.keys().next() : undefined;
    if (oldest !== undefined && oldest.done !== true) this.#tickets.delete(oldest.value);
    this.#tickets.set((this.#lastTicket += 1), { epoch: this.#epoch, records });
    return this.#lastTicket;
  }

  /** Whether this is the time at which the answer to `question` is given to be kept. */
  #mayKeep(question: string, times: 'once' | 'twice'): boolean {
    const before = this.#asked.get(question);
    if (before === 'kept') return false;
    if (before === undefined && this.#asked.size >= askedMax) this.#asked.clear();
    const keep = times === 'once' || before === 'once';
    this.#asked.set(question, keep ? 'kept' : 'once');
    return keep;
  }
}

/** Passes draws on and remembers what was drawn from. */
class ObservedDraw implements EndpointPicker {
  readonly #picker: EndpointPicker;
  #set: EndpointSet | undefined;
  #affine = false;

  constructor(picker: EndpointPicker) {
    this.#picker = picker;
  }

  /** What each connection may be given: nothing to choose is an empty list, a choice that depends on more than weights
   *  is undefined. */
  get alternatives(): readonly Endpoint[] | undefined {
    return this.#affine ? undefined : (this.#set?.endpoints ?? []);
  }

  pick(...args: Parameters<EndpointPicker['pick']>): Endpoint | undefined {
    const [snapshot, query] = args;
    const endpoint = this.#picker.pick(...args);
    if (endpoint === undefined) return undefined;
    this.#set = this.#picker.endpoints(snapshot, query);
    this.#affine ||= query.service.loadBalancing.clientIpAffinityMs !== undefined;
    return endpoint;
  }

  endpoints(snapshot: MeshSnapshot, query: EndpointQuery): EndpointSet {
    return this.#picker.endpoints(snapshot, query);
  }

  /** A picker that draws this endpoint where this one has drawn. */
  fixedTo(endpoint: Endpoint): EndpointPicker {
    return {
      pick: (snapshot, query) => (this.endpoints(snapshot, query) === this.#set ? endpoint : undefined),
      endpoints: (snapshot, query) => this.endpoints(snapshot, query),
    };
  }
}
