// Answers the engine: each question gets one decision, each connection one record, whatever happens in between.
import type {
  ClosedEvent,
  CloseReason,
  ConnectEvent,
  Engine,
  EngineEvent,
  OutboundEvent,
  Reused,
  TunnelDownEvent,
} from '../engine/types.ts';
import { formatSocketAddress } from '../mesh/address.ts';
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { RateLimitedLog } from '../runtime/logger.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { Connection } from './connection.ts';
import type { DecisionContext } from './decide.ts';
import { decideConnect, decideOutbound, decidePlaintext } from './decide.ts';
import type { LocalPod } from './decide-direct.ts';
import { decideOutboundDirect } from './decide-direct.ts';
import type { EndpointPicker } from './load-balancer.ts';
import { Reuse } from './reuse.ts';
import type { TunnelMetrics } from './tunnel-metrics.ts';
import { isOrderly } from './tunnel-metrics.ts';
import type { Question } from './waiting-room.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface EngineEventsOptions {
  readonly engine: Engine;
  readonly table: ConnectionTable;
  readonly metrics: TunnelMetrics;
  readonly picker: EndpointPicker;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly snapshot: () => MeshSnapshot;
  /** The workload of a pod: undefined while the controller has not sent it. */
  readonly workloadOf: (podId: string) => Workload | undefined;
  readonly settingsOf: (workload: Workload) => PodSettings | undefined;
  readonly hasIdentity: (identity: string) => boolean;
  /** The captured pod of this node that serves a workload: connections to it are joined. Absent: tunnels are used. */
  readonly localPod?: (workload: Workload) => LocalPod | undefined;
  readonly hbonePort: number;
  readonly keepSourceAddress: boolean;
  readonly waitMs: number;
  readonly waitingMax: number;
  /** A connection of this pod has ended. */
  readonly closed: (podId: string) => void;
}

export class EngineEvents {
  readonly #options: EngineEventsOptions;
  readonly #waiting: WaitingRoom;
  readonly #reuse = new Reuse();
  readonly #peerLog: RateLimitedLog;
  /** Of peers that have proven nothing: addresses are cheap, so it knows few of them at a time. */
  readonly #strangerLog: RateLimitedLog;

  constructor(options: EngineEventsOptions) {
    this.#options = options;
    const { clock, waitMs, waitingMax: max } = options;
    this.#waiting = new WaitingRoom({
      clock,
      waitMs,
      max,
      expired: (question) =>
        this.#refuse(question, 'no_route', `the workload of pod ${question.podId} is not known to the mesh`),
    });
    this.#peerLog = new RateLimitedLog({ clock });
    options.engine.setEpoch(this.#reuse.epoch);
    this.#strangerLog = new RateLimitedLog({ clock, keysMax: 16 });
  }

  /** Questions that wait for a workload. */
  get waiting(): number {
    return this.#waiting.size;
  }

  handle(events: readonly EngineEvent[]): void {
    for (const event of events) this.#handleOne(event);
  }

  /** To be called when anything has changed that decisions are made from: workloads, policies, settings, certificates. */
  meshChanged(): void {
    this.#options.engine.setEpoch(this.#reuse.advance());
    this.retryWaiting();
  }

  /** To be called when pods have come. */
  retryWaiting(): void {
    if (this.#waiting.size === 0) return;
    const { workloadOf } = this.#options;
    for (const question of this.#waiting.release((podId) => workloadOf(podId) !== undefined))
      this.#ask(question);
  }

  close(): void {
    this.#waiting.close();
  }

  #handleOne(event: EngineEvent): void {
    const { table, metrics, clock } = this.#options;
    switch (event.kind) {
      case 'outbound':
      case 'connect':
        return event.reused === undefined ? this.#ask(event) : this.#record(event, event.reused);
      case 'plaintext':
        return this.#ask(event);
      case 'connected':
        return table.connected(event, clock.now());
      case 'closed':
        return this.#closed(event);
      case 'tunnelUp':
        return metrics.up(event);
      case 'tunnelDown':
        metrics.down(event);
        return this.#logTunnelDown(event);
      case 'overload':
        metrics.overloaded(event.queue, event.count);
        return this.#peerLog.try(`overload ${event.queue}`, (suppressed) =>
          this.#options.logger.warn('a bound was reached', {
            queue: event.queue,
            count: event.count,
            suppressed,
          }),
        );
    }
  }

  #ask(question: Question): void {
    const { table, workloadOf } = this.#options;
    if (table.full) return this.#refuse(question, 'limit', 'the node has as many connections as it may');
    const workload = workloadOf(question.podId);
    if (workload !== undefined) return this.#decide(question, workload);
    if (!this.#waiting.enter(question))
      this.#refuse(question, 'limit', 'too many connections wait for their workload');
  }

  #decide(question: Question, workload: Workload): void {
    const { engine, table, metrics, logger, localPod } = this.#options;
    const started = performance.now();
    try {
      const context = this.#context(workload);
      if (question.kind === 'outbound') {
        const outcome = this.#reuse.decideOutbound(context, question, (each) =>
          localPod === undefined
            ? decideOutbound(each, question)
            : decideOutboundDirect({ ...each, localPod }, question),
        );
        table.add(outcome.connection, outcome.peer);
        engine.decideOutbound(question.id, outcome.decision, outcome.reuse);
      } else {
        const outcome =
          question.kind === 'connect' ? decideConnect(context, question) : decidePlaintext(context, question);
        const reuse = question.kind === 'connect' ? this.#reuse.inbound(question, outcome) : undefined;
        table.add(outcome.connection);
        engine.decideInbound(question.id, outcome.decision, reuse);
      }
    } catch (error) {
      // A defect: one connection is refused, the others are served.
      this.#peerLog.try('decision', (suppressed) =>
        logger.error('cannot decide about a connection', { error: messageOf(error), suppressed }),
      );
      this.#refuse(question, 'no_route', `no decision could be made: ${messageOf(error)}`);
    }
    metrics.decided((performance.now() - started) / 1000);
  }

  /** Takes note of a connection that the engine has let in by an earlier answer. */
  #record(event: OutboundEvent | ConnectEvent, reused: Reused): void {
    const { table, snapshot, clock } = this.#options;
    if (table.full) return this.#cut(event, 'limit', 'the node has as many connections as it may');
    const known =
      event.kind === 'outbound'
        ? this.#reuse.outbound(event, reused, clock.now())
        : this.#reuse.connect(snapshot(), event, reused, clock.now());
    if (known !== undefined && (!known.stale || event.kind === 'outbound')) table.add(known.connection);
    else this.#askAgain(event);
  }

  /** What it was let in by has passed, or is forgotten: it stays only if it would be let in now. */
  #askAgain(event: OutboundEvent | ConnectEvent): void {
    const { table, workloadOf, engine } = this.#options;
    const workload = workloadOf(event.podId);
    if (workload === undefined) return this.#cut(event, 'no_route', 'its workload has left the mesh');
    const context = this.#context(workload);
    const { connection } =
      event.kind === 'outbound' ? decideOutbound(context, event) : decideConnect(context, event);
    const { refusal } = connection;
    table.add(connection);
    if (refusal !== undefined) engine.closeConnections([event.id], refusal.reason);
  }

  #cut(event: OutboundEvent | ConnectEvent, reason: CloseReason, message: string): void {
    const { engine, table, clock } = this.#options;
    table.add({ ...unroutedConnection(event, clock.now()), refusal: { reason, message } });
    engine.closeConnections([event.id], reason);
  }

  #refuse(question: Question, reason: CloseReason, message: string): void {
    const { engine, table, clock } = this.#options;
    table.add({ ...unroutedConnection(question, clock.now()), refusal: { reason, message } });
    if (question.kind === 'outbound') engine.decideOutbound(question.id, { kind: 'refuse', reason });
    else engine.decideInbound(question.id, { kind: 'reject', status: 503, reason });
  }

  #closed(event: ClosedEvent): void {
    const { table, clock, closed } = this.#options;
    const question = this.#waiting.leave(event.id);
    if (question !== undefined) table.add(unroutedConnection(question, clock.now()));
    for (const podId of table.closed(event)) closed(podId);
  }

  #context(workload: Workload): DecisionContext {
    const { snapshot, settingsOf, picker, hasIdentity, hbonePort, keepSourceAddress, clock } = this.#options;
    const settings = settingsOf(workload);
    return {
      snapshot: snapshot(),
      workload,
      ...(settings !== undefined && { settings }),
      picker,
      hasIdentity,
      hbonePort,
      keepSourceAddress,
      nowMs: clock.now(),
    };
  }

  #logTunnelDown(event: TunnelDownEvent): void {
    const { direction, podId, reason, detail, message, peerIdentity } = event;
    // A tunnel that is lost with its connection says no more; one that the engine gave up says why.
    if (isOrderly(reason) && peerIdentity !== '' && message === '') return;
    const failed = peerIdentity === '' ? 'a tunnel did not come up' : 'a tunnel broke';
    const log = peerIdentity === '' ? this.#strangerLog : this.#peerLog;
    // Who has an identity may have many addresses.
    log.try(`${direction} ${peerIdentity === '' ? event.peer.ip : peerIdentity} ${reason}`, (suppressed) =>
      this.#options.logger.warn(failed, {
        direction,
        peer: formatSocketAddress(event.peer),
        ...(peerIdentity !== '' && { identity: peerIdentity }),
        pod: podId,
        reason,
        ...(detail !== 0 && { detail }),
        ...(message !== '' && { error: message }),
        ...(suppressed > 0 && { suppressed }),
      }),
    );
  }
}

/** The record of a connection that nothing could be decided about. */
function unroutedConnection(question: Question, nowMs: number): Connection {
  const base = { id: question.id, podId: question.podId, openedMs: nowMs };
  if (question.kind === 'connect')
    return {
      ...base,
      direction: 'inbound',
      security: 'mutual_tls',
      source: { address: question.peer, identity: question.peerIdentity },
      destination: { address: question.local },
      hboneAddress: question.local,
    };
  return {
    ...base,
    direction: question.kind === 'outbound' ? 'outbound' : 'inbound',
    security: 'plaintext',
    source: { address: question.client },
    destination: { address: question.originalDst },
  };
}
