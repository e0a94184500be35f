// The node proxy as a whole: mesh state in, decisions out, pods captured. It owns no policy of its own; it wires those
// who do, and its life is start, drain, close.
import type { Capture } from '../engine/capture-types.ts';
import type { CloseReason, Engine, EngineEventHandler } from '../engine/types.ts';
import { parseIp } from '../mesh/address.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Readiness } from '../runtime/readiness.ts';
import type { XdsClientStatus } from '../xds/client.ts';
import { AccessLog } from './access-log.ts';
import { ConnectionTable } from './connection-table.ts';
import type { LocalPod } from './decide-direct.ts';
import { EngineEvents } from './engine-events.ts';
import { registerGauges } from './gauges.ts';
import type { Handover } from './handover.ts';
import type { CertificateSource } from './identity-keeper.ts';
import { IdentityKeeper } from './identity-keeper.ts';
import { LoadBalancer } from './load-balancer.ts';
import type { ControlHandlers, MeshChange } from './mesh-state.ts';
import { MeshState } from './mesh-state.ts';
import { ConnectionMetrics } from './metrics.ts';
import { PodManager } from './pods/pod-manager.ts';
import type { PodSource } from './pods/pod-source.ts';
import { Succession } from './succession.ts';
import type { ZtunnelSettings } from './settings.ts';
import { TunnelMetrics } from './tunnel-metrics.ts';

/** What is needed of an xDS client; `status` is shown as it is. */
export interface ControlChannel {
  start(): void;
  status(): ControlStatus;
  close(): Promise<void>;
}

export type ControlStatus = Pick<XdsClientStatus, 'state' | 'synced' | 'lastError' | 'resources' | 'nacks'>;

export interface ZtunnelOptions {
  readonly settings: ZtunnelSettings;
  /** Called once; events may come from then on. */
  readonly createEngine: (handler: EngineEventHandler) => Engine;
  readonly capture: Capture;
  /** Called once; makes the xDS client, which is started when all else is in place. */
  readonly connect: (handlers: ControlHandlers) => ControlChannel;
  readonly certificates: CertificateSource;
  readonly podSources: readonly PodSource[];
  /** From and to other processes of this node; undefined without a holder. */
  readonly handover?: Handover;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly clock: Clock;
  /** 0..1, injected in tests. */
  readonly random?: () => number;
}

const connectionsMax = 1_000_000;

export class Ztunnel {
  readonly options: ZtunnelOptions;
  readonly engine: Engine;
  readonly mesh: MeshState;
  readonly pods: PodManager;
  readonly table: ConnectionTable;
  readonly identities: IdentityKeeper;
  readonly balancer: LoadBalancer;
  readonly control: ControlChannel;
  readonly startedMs: number;
  readonly #events: EngineEvents;
  readonly #synced: { done(): void };
  readonly #podsTask: { done(): void };
  /** Undefined without a holder. */
  readonly succession: Succession | undefined;
  #closed = false;

  /**
   * Resolves when pods are accepted; `readiness` says what is still waited for. With a predecessor it resolves when
   * this process could take over all of its pods: `acceptPods` does.
   */
  static async start(options: ZtunnelOptions): Promise<Ztunnel> {
    const ztunnel = new Ztunnel(options);
    const { succession } = ztunnel;
    try {
      succession?.restore();
      if (succession?.takesOver === true) {
        ztunnel.control.start();
        await succession.restored(options.settings.takeOverTimeout);
        return ztunnel;
      }
      await ztunnel.acceptPods();
    } catch (error) {
      await ztunnel.close();
      throw error;
    }
    ztunnel.control.start();
    return ztunnel;
  }

  /** Opens the sources of pods. */
  async acceptPods(): Promise<void> {
    for (const source of this.options.podSources) await source.start(() => this.pods.session());
    this.#podsTask.done();
  }

  private constructor(options: ZtunnelOptions) {
    const { settings, capture, clock, logger, metrics, readiness, random } = options;
    this.options = options;
    this.startedMs = clock.now();
    this.#synced = readiness.task('xds', 'the first complete configuration');
    // Asked each time and not told: a certificate also expires, or is valid again, because the clock was set.
    readiness.check('certificates', () => this.#uncertified());
    this.#podsTask = readiness.task('pods', 'their source');
    const tunnels = new TunnelMetrics(metrics);
    // The engine may speak before the rest is there: its events are handled in later turns of the event loop.
    this.engine = options.createEngine((events) => this.#events.handle(events));
    this.mesh = new MeshState({
      clock,
      changed: (change) => this.#meshChanged(change),
      synced: () => this.#meshSynced(),
    });
    this.identities = new IdentityKeeper({
      engine: this.engine,
      certificates: options.certificates,
      logger: logger.child('certificates'),
      changed: () => this.#certificatesChanged(),
    });
    this.table = new ConnectionTable({
      accessLog: new AccessLog({ logger, mode: settings.accessLog }),
      metrics: new ConnectionMetrics(metrics),
      close: (ids, reason) => this.engine.closeConnections(ids, reason),
      connectionsMax,
      reauthorized: (connections) => {
        if (connections > 0) logger.info('policies changed: connections closed', { connections });
      },
    });
    this.pods = new PodManager({
      engine: this.engine,
      meshIsKnown: () => this.mesh.isKnown,
      ...(options.handover !== undefined && { handover: options.handover }),
      capture,
      clock,
      logger,
      settingsOf: (namespace, name) => this.mesh.settingsOf(namespace, name),
      certificates: this.identities,
      openConnections: (podId) => this.table.countOf(podId),
      podsMax: settings.podsMax,
      drainMs: settings.podDrainTimeout,
      auditIntervalMs: settings.auditInterval,
      ipv6: settings.ipv6,
      nodeAddresses: settings.nodeAddresses.map(parseIp).filter((ip) => ip !== undefined),
      changed: () => {
        this.#events.meshChanged();
        this.succession?.podsChanged();
      },
      ...(random !== undefined && { random }),
    });
    this.balancer = new LoadBalancer({ clock, ...(random !== undefined && { random }) });
    this.#events = new EngineEvents({
      engine: this.engine,
      table: this.table,
      metrics: tunnels,
      picker: this.balancer,
      logger: logger.child('connections'),
      clock,
      snapshot: () => this.mesh.snapshot,
      workloadOf: (podId) => this.workloadOf(podId),
      settingsOf: ({ namespace, name }) => this.mesh.settingsOf(namespace, name),
      hasIdentity: (identity) => this.identities.has(identity),
      ...(settings.sameNode === 'direct' && { localPod: (workload) => this.localPod(workload) }),
      hbonePort: settings.hbonePort,
      keepSourceAddress: settings.sourceAddress,
      // The engine's own deadline would take the answer away: be a little earlier.
      waitMs: Math.min(settings.unknownWorkloadWait, Math.max(0, settings.decisionTimeout - 250)),
      waitingMax: settings.undecidedTotal,
      closed: (podId) => {
        this.pods.connectionClosed(podId);
        this.succession?.connectionClosed();
      },
    });
    this.succession =
      options.handover === undefined
        ? undefined
        : new Succession({ ztunnel: this, handover: options.handover });
    this.control = options.connect(this.mesh);
    registerGauges(metrics, this, tunnels);
  }

  get snapshot(): MeshSnapshot {
    return this.mesh.snapshot;
  }

  /** Connections that wait for their workload. */
  get waiting(): number {
    return this.#events.waiting;
  }

  /** The workload of a pod of this node, once the controller has sent both its settings and its record. */
  workloadOf(podId: string): Workload | undefined {
    const settings = this.pods.settingsOf(podId);
    return settings === undefined ? undefined : this.mesh.snapshot.workload(settings.uid);
  }

  /** The pod of this node that serves a workload and takes connections. */
  localPod(workload: Workload): LocalPod | undefined {
    const pod = this.pods.accepting(workload);
    if (pod === undefined) return undefined;
    const settings = this.pods.settingsOf(pod.podId);
    return { ...pod, workload, ...(settings !== undefined && { settings }) };
  }

  /** Closes live connections of peers with these SPIFFE ids: their certificates were revoked. */
  revoke(identities: ReadonlySet<string>): number {
    return this.table.revoke(identities);
  }

  closeConnections(ids: readonly number[], reason: CloseReason = 'closed_by_request'): void {
    this.engine.closeConnections(ids, reason);
  }

  /**
   * Takes no more pods; resolves when nothing is open, or at the deadline. What is captured stays captured. With a
   * holder it goes on accepting connections until a successor does.
   */
  async drain(graceMs: number): Promise<void> {
    const { logger, podSources, clock } = this.options;
    const deadlineMs = clock.now() + graceMs;
    logger.info('draining', { connections: this.table.size, grace_ms: graceMs });
    await this.succession?.beforeDrain(graceMs);
    this.pods.beginDrain();
    for (const source of podSources) await source.close();
    await this.engine.drain(Math.max(0, deadlineMs - clock.now()));
  }

  /** Ends at once, in an order that leaves pods captured: without a proxy nothing leaves them. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { podSources, certificates, capture, logger } = this.options;
    for (const source of podSources) await source.close();
    await this.control
      .close()
      .catch((error: unknown) =>
        logger.warn('the control channel did not close well', { error: messageOf(error) }),
      );
    certificates.close();
    this.#events.close();
    this.pods.close();
    this.table.close();
    this.engine.close();
    capture.close();
    this.options.handover?.close();
  }

  #meshSynced(): void {
    this.#synced.done();
    this.pods.reconsider();
    this.succession?.podsChanged();
  }

  #meshChanged(change: MeshChange): void {
    if (change === 'pods') this.pods.reconsider();
    else this.table.reauthorize(this.mesh.snapshot, (podId) => this.pods.settingsOf(podId)?.uid);
    this.#events.meshChanged();
  }

  #certificatesChanged(): void {
    this.#events.meshChanged();
    this.pods.reconsider();
  }

  #uncertified(): readonly string[] {
    const { expired } = this.identities;
    if (expired.length === 0) return [];
    return [`expired: ${expired.slice(0, 3).join(', ')}${expired.length > 3 ? ', ...' : ''}`];
  }
}
