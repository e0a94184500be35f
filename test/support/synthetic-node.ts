// The JavaScript side of a node alone: events as the engine would raise them, answered by what answers them in a ztunnel,
// in a mesh of the largest size. No sockets, no TLS: what is measured is the one thread that decides.
import type { ConnectionId, EngineEvent } from '../../src/engine/types.ts';
import type { IpAddress } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { AccessLog } from '../../src/ztunnel/access-log.ts';
import { ConnectionTable } from '../../src/ztunnel/connection-table.ts';
import { EngineEvents } from '../../src/ztunnel/engine-events.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { ConnectionMetrics } from '../../src/ztunnel/metrics.ts';
import { TunnelMetrics } from '../../src/ztunnel/tunnel-metrics.ts';
import { closedEvent, connectEvent, connectedEvent, outboundEvent } from './engine-events.ts';
import { FakeEngine } from './fake-engine.ts';
import { largeMesh, largest, namespaceAt, podIpAt, serviceIpAt } from './large-mesh.ts';

/** Pods of the node. */
const pods = 100;

export class SyntheticNode {
  readonly table: ConnectionTable;
  readonly engine = new FakeEngine();
  snapshot: MeshSnapshot;
  loggedBytes = 0;
  readonly #events: EngineEvents;
  readonly #workloads: readonly Workload[];
  #nextId = 1;

  constructor(size = largest) {
    const mesh = largeMesh(size);
    this.snapshot = MeshSnapshot.empty().with(mesh);
    this.#workloads = mesh.workloads.filter((_, n) => n % (size.workloads / pods) === 0);
    const logger = createLogger({
      level: 'info',
      format: 'json',
      write: (line) => (this.loggedBytes += line.length),
    });
    const metrics = createMetrics();
    this.table = new ConnectionTable({
      accessLog: new AccessLog({ logger, mode: 'all' }),
      metrics: new ConnectionMetrics(metrics),
      close: (ids, reason) => this.engine.closeConnections(ids, reason),
      connectionsMax: 1_000_000,
    });
    const byPod = new Map(this.#workloads.map((workload, n) => [podName(n), workload]));
    this.#events = new EngineEvents({
      engine: this.engine,
      table: this.table,
      metrics: new TunnelMetrics(metrics),
      picker: new LoadBalancer({ clock: systemClock }),
      logger,
      clock: systemClock,
      snapshot: () => this.snapshot,
      workloadOf: (podId: string) => byPod.get(podId),
      localPod: () => undefined,
      settingsOf: () => undefined,
      hasIdentity: () => true,
      hbonePort: 15008,
      keepSourceAddress: true,
      sameNodeDirect: false,
      waitMs: 1000,
      waitingMax: 1000,
      closed: () => undefined,
    } as never);
  }

  /** One batch of questions, as the engine hands them over; the ids of their connections. */
  open(count: number, direction: 'outbound' | 'inbound'): readonly ConnectionId[] {
    const first = this.#nextId;
    this.#nextId += count;
    const ids = Array.from({ length: count }, (_, n) => first + n);
    this.#raise(ids.map((id) => (direction === 'outbound' ? this.#outbound(id) : this.#connect(id))));
    this.engine.outbound.clear();
    this.engine.inbound.clear();
    return ids;
  }

  connected(ids: readonly ConnectionId[]): void {
    this.#raise(ids.map((id) => connectedEvent(id)));
  }

  closed(ids: readonly ConnectionId[]): void {
    this.#raise(ids.map((id) => closedEvent(id)));
  }

  workloadOf(podId: string): string | undefined {
    return this.#workloads[Number(podId.slice(-12))]?.uid;
  }

  #raise(events: readonly EngineEvent[]): void {
    this.#events.handle(events);
  }

  #outbound(id: ConnectionId): EngineEvent {
    const pod = id % pods;
    const address = this.#workloads[pod]?.addresses[0] ?? '';
    return outboundEvent(id, podName(pod), `${address}:${portOf(id)}`, `${serviceIpAt(id % 200)}:80`);
  }

  #connect(id: ConnectionId): EngineEvent {
    const pod = id % pods;
    const address = fresh(this.#workloads[pod]?.addresses[0] ?? '') as IpAddress;
    const peer = id % 200;
    const client = fresh(podIpAt(peer)) as IpAddress;
    return connectEvent({
      id,
      podId: podName(pod),
      peer: { ip: client, port: 40_000 },
      local: { ip: address, port: 15008 },
      authority: `${address}:8080`,
      peerIdentity: fresh(`spiffe://cluster.local/ns/${namespaceAt(peer)}/sa/account-${peer}`),
      headers: [
        ['baggage', fresh(`k8s.namespace.name=${namespaceAt(peer)},service.name=service-${peer}`)],
        ['forwarded', fresh(`for="${client}:${portOf(id)}";host=service-${pod}.svc.cluster.local`)],
        ['traceparent', fresh(`00-${id.toString(16).padStart(32, '1')}-00f067aa0ba902b7-00`)],
      ],
    });
  }
}

function podName(pod: number): string {
  return fresh(`01234567-89ab-cdef-0123-${String(pod).padStart(12, '0')}`);
}

function portOf(id: number): number {
  return 20_000 + (id % 40_000);
}

/** A text of its own in memory, as each one that is decoded from a batch of the engine is. */
function fresh(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
