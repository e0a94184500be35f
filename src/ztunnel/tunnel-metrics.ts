// What the node proxy counts beside connections: tunnels, refusals of bounds, time to decide, and the fill of each queue.
import type { CloseReason, EngineStats, TunnelDownEvent, TunnelUpEvent } from '../engine/types.ts';
import type { Counter, Family, Histogram, Metrics } from '../runtime/metrics.ts';

export class TunnelMetrics {
  readonly #opened: Family<'direction', Counter>;
  readonly #closed: Family<'direction' | 'reason', Counter>;
  readonly #failed: Family<'direction' | 'reason', Counter>;
  readonly #handshake: Family<'direction', Histogram>;
  readonly #overload: Family<'queue', Counter>;
  readonly #engineEvents: Family<'event', Counter>;
  readonly #decision: Histogram;
  readonly #lastCounters = new Map<string, number>();

  constructor(metrics: Metrics) {
    this.#opened = metrics.counter({
      name: 'culvert_tunnels_opened_total',
      help: 'HBONE tunnels that came up.',
      labels: ['direction'],
    });
    this.#closed = metrics.counter({
      name: 'culvert_tunnels_closed_total',
      help: 'HBONE tunnels that ended, by reason.',
      labels: ['direction', 'reason'],
    });
    this.#failed = metrics.counter({
      name: 'culvert_tunnels_failed_total',
      help: 'HBONE tunnels that never came up, by reason.',
      labels: ['direction', 'reason'],
    });
    this.#handshake = metrics.histogram({
      name: 'culvert_tunnel_handshake_seconds',
      help: 'Time of TLS handshakes that succeeded.',
      labels: ['direction'],
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    });
    this.#overload = metrics.counter({
      name: 'culvert_overload_total',
      help: 'How often a bound was reached, by queue.',
      labels: ['queue'],
    });
    this.#engineEvents = metrics.counter({
      name: 'culvert_engine_events_total',
      help: 'Refusals and protocol violations that the engine has seen, by name.',
      labels: ['event'],
    });
    this.#decision = metrics
      .histogram({
        name: 'culvert_decision_seconds',
        help: 'Time to decide about a connection, without waiting for its workload.',
        buckets: [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.001, 0.01],
      })
      .child({});
  }

  up(event: TunnelUpEvent): void {
    const { direction } = event;
    this.#opened.child({ direction }).inc();
    this.#handshake.child({ direction }).observe(event.handshakeUs / 1e6);
  }

  down(event: TunnelDownEvent): void {
    const { direction, reason, peerIdentity } = event;
    (peerIdentity === '' ? this.#failed : this.#closed).child({ direction, reason }).inc();
  }

  overloaded(queue: string, count: number): void {
    this.#overload.child({ queue }).inc(count);
  }

  decided(seconds: number): void {
    this.#decision.observe(seconds);
  }

  /** Adds what the engine's own counters have gained since the last call. */
  engine({ counters }: EngineStats): void {
    for (const [event, value] of Object.entries(counters)) {
      this.#engineEvents.child({ event }).inc(value - (this.#lastCounters.get(event) ?? 0));
      this.#lastCounters.set(event, value);
    }
  }
}

/** Ends of a tunnel that are nobody's fault: they are not logged above debug. */
export function isOrderly(reason: CloseReason): boolean {
  return (
    reason === 'ok' || reason === 'drained' || reason === 'closed_by_request' || reason === 'tunnel_lost'
  );
}
