// The connections that are open or being opened. Each is here from its decision to its one `closed` event; when the
// mesh changes, those that its policies no longer allow are found here, pod by pod, and only where policies differ.
import type { CloseReason, ClosedEvent, ConnectedEvent, ConnectionId, LiveBytes } from '../engine/types.ts';
import type { Policy } from '../mesh/policy.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { AccessLog, FinishedConnection } from './access-log.ts';
import { isFailure } from './close-reason.ts';
import type { Connection, Refusal } from './connection.ts';
import { closedAsSeenBy } from './joined-close.ts';
import type { ConnectionMetrics, Flow } from './metrics.ts';
import type { ReauthorizationOptions } from './reauthorization.ts';
import { Reauthorization } from './reauthorization.ts';
import { Verdicts } from './verdicts.ts';

/** A connection that has not ended. */
export interface LiveConnection {
  readonly connection: Connection;
  /** Milliseconds since the epoch; undefined until bytes can flow. */
  readonly connectedMs: number | undefined;
  readonly tunnelId: number | undefined;
}

interface Entry {
  readonly connection: Connection;
  readonly flow: Flow;
  connectedMs: number | undefined;
  tunnelId: number | undefined;
  /** Why we are closing it, once we are. */
  revoked: Refusal | undefined;
  /** Bytes that the metrics have already been told of. */
  countedSent: number;
  countedReceived: number;
  /** Of a connection between two pods of this node: the destination's end. */
  readonly peer: Entry | undefined;
}

interface PodEntry {
  readonly ids: Set<ConnectionId>;
  /** Uid of the pod's workload and the policies that its connections were last asked about. */
  workload: string | undefined;
  policies: readonly Policy[] | undefined;
}

export interface ConnectionTableOptions {
  readonly accessLog: AccessLog;
  readonly metrics: ConnectionMetrics;
  /** How the engine is told to close connections. */
  readonly close: (ids: readonly ConnectionId[], reason: CloseReason) => void;
  readonly connectionsMax: number;
  /** Ended connections that are remembered, for those who look. */
  readonly recentMax?: number;
  /** All connections have been judged by the policies of now, and so many were closed. */
  readonly reauthorized?: (closed: number) => void;
  /** See reauthorization.ts; injected in tests. */
  readonly slicing?: Pick<ReauthorizationOptions, 'now' | 'defer'>;
}

export class ConnectionTable {
  readonly #options: ConnectionTableOptions;
  readonly #recentMax: number;
  readonly #entries = new Map<ConnectionId, Entry>();
  readonly #pods = new Map<string, PodEntry>();
  /** A ring: `#recentNext` is the oldest once it is full. */
  readonly #recent: FinishedConnection[] = [];
  readonly #reauthorization: Reauthorization;
  readonly #verdicts = new Verdicts();
  #recentNext = 0;

  constructor(options: ConnectionTableOptions) {
    this.#options = options;
    this.#recentMax = options.recentMax ?? 256;
    this.#reauthorization = new Reauthorization({
      ...options.slicing,
      isDenied: (id, podId, policies) => this.#deny(id, podId, policies),
      close: (ids) => options.close(ids, 'denied'),
      done: (closed) => {
        this.#verdicts.forget();
        options.reauthorized?.(closed);
      },
    });
  }

  get size(): number {
    return this.#entries.size;
  }

  get max(): number {
    return this.#options.connectionsMax;
  }

  /** True if no further connection may be let in. */
  get full(): boolean {
    return this.#entries.size >= this.#options.connectionsMax;
  }

  /** To be called with each decision, refusals too: their `closed` event follows. `peer` is the other end of the same
   *  connection, where that is a pod of this node as well: each end has its lines and its metrics. */
  add(connection: Connection, peer?: Connection): void {
    const other = peer === undefined ? undefined : this.#enter(peer, undefined);
    this.#entries.set(connection.id, this.#enter(connection, other));
  }

  #enter(connection: Connection, peer: Entry | undefined): Entry {
    const { metrics } = this.#options;
    if (connection.refusal?.reason === 'denied') metrics.denied(connection.policy);
    if (connection.dryRun !== undefined) metrics.wouldDeny(connection.dryRun);
    if (connection.refusal === undefined) this.#pod(connection.podId).ids.add(connection.id);
    return {
      connection,
      flow: metrics.flowOf(connection),
      connectedMs: undefined,
      tunnelId: undefined,
      revoked: undefined,
      countedSent: 0,
      countedReceived: 0,
      peer,
    };
  }

  connected(event: ConnectedEvent, nowMs: number): void {
    for (const entry of endsOf(this.#entries.get(event.id))) {
      if (entry.connectedMs !== undefined) continue;
      entry.connectedMs = nowMs;
      entry.tunnelId = event.tunnelId;
      entry.flow.opened.inc();
      this.#options.accessLog.opened(entry.connection, event);
    }
  }

  /** Returns the pods whose connection it was; none for one that was never decided about. */
  closed(event: ClosedEvent): readonly string[] {
    const entry = this.#entries.get(event.id);
    if (entry === undefined) return [];
    this.#entries.delete(event.id);
    const { peer } = entry;
    if (peer === undefined) return [this.#finish(entry, event)];
    const cutBy = (end: Entry): boolean => end.revoked?.reason === event.reason;
    const cutByPeer = cutBy(peer) && !cutBy(entry);
    const cutBySource = cutBy(entry) && !cutBy(peer);
    return [
      this.#finish(entry, closedAsSeenBy('initiator', event, cutByPeer)),
      this.#finish(peer, closedAsSeenBy('target', event, cutBySource)),
    ];
  }

  #finish(entry: Entry, event: ClosedEvent): string {
    this.#forget(entry.connection);
    this.#countBytes(entry, event);
    const refusal = entry.connection.refusal ?? entry.revoked;
    const reason = refusal?.reason ?? event.reason;
    if (entry.connectedMs !== undefined) entry.flow.closed.inc();
    if (entry.connectedMs === undefined || isFailure(reason)) entry.flow.failed(reason, event.detail);
    const finished: FinishedConnection = {
      connection: entry.connection,
      closed: event,
      ...(entry.revoked !== undefined && { revoked: entry.revoked }),
    };
    this.#remember(finished);
    this.#options.accessLog.finished(finished);
    return entry.connection.podId;
  }

  /** Asks the policies of `snapshot` about every connection they may have changed for, and closes those denied, in slices
   *  of which the first is now. The workload of each pod is found by `workloadOf` (uid). */
  reauthorize(snapshot: MeshSnapshot, workloadOf: (podId: string) => string | undefined): void {
    for (const [podId, pod] of this.#pods) {
      const uid = workloadOf(podId);
      const workload = uid === undefined ? undefined : snapshot.workload(uid);
      // A workload that left the mesh is on its way out: its pod is drained, its connections may finish.
      if (workload === undefined) continue;
      const policies = snapshot.policiesFor(workload);
      if (pod.workload === uid && isSame(pod.policies, policies)) continue;
      [pod.workload, pod.policies] = [uid, policies];
      this.#reauthorization.add(podId, pod.ids, policies);
    }
    this.#reauthorization.run();
  }

  /** Pods of which connections have still to be judged by the policies of now. */
  get reauthorizing(): number {
    return this.#reauthorization.pending;
  }

  /** Closes the connections whose peer has one of these SPIFFE ids. Returns how many. */
  revoke(identities: ReadonlySet<string>): number {
    const ids = new Set<ConnectionId>();
    for (const entry of this.#ends()) {
      const { id, direction, source, destination, security, refusal } = entry.connection;
      const peer = direction === 'inbound' ? source.identity : destination.identity;
      if (security === 'plaintext' || refusal !== undefined || entry.revoked !== undefined) continue;
      if (peer === undefined || !identities.has(peer)) continue;
      entry.revoked = { reason: 'cert_revoked', message: `the certificate of ${peer} was revoked` };
      ids.add(id);
    }
    if (ids.size > 0) this.#options.close([...ids], 'cert_revoked');
    return ids.size;
  }

  /** Adds to the metrics what open connections have carried since the last time: before each scrape. */
  countLiveBytes(liveBytes: (id: ConnectionId) => LiveBytes | undefined): void {
    for (const entry of this.#ends()) {
      const bytes = entry.connectedMs === undefined ? undefined : liveBytes(entry.connection.id);
      if (bytes !== undefined) this.#countBytes(entry, bytes);
    }
  }

  /** Connections that were let in and have not ended. */
  *live(): IterableIterator<LiveConnection> {
    for (const entry of this.#ends()) if (entry.connection.refusal === undefined) yield entry;
  }

  /** Ended and refused ones, oldest first. */
  get recent(): readonly FinishedConnection[] {
    return [...this.#recent.slice(this.#recentNext), ...this.#recent.slice(0, this.#recentNext)];
  }

  /** How many connections of a pod are open. */
  countOf(podId: string): number {
    return this.#pods.get(podId)?.ids.size ?? 0;
  }

  /** Asks about nothing any more: the engine is about to close what is open. */
  close(): void {
    this.#reauthorization.close();
  }

  *#ends(): IterableIterator<Entry> {
    for (const entry of this.#entries.values()) yield* endsOf(entry);
  }

  #deny(id: ConnectionId, podId: string, policies: readonly Policy[]): boolean {
    const first = this.#entries.get(id);
    const entry = first?.connection.podId === podId ? first : first?.peer;
    const authorization = entry?.connection.authorization;
    if (entry === undefined || authorization === undefined || entry.revoked !== undefined) return false;
    const denial = this.#verdicts.denialOf(policies, authorization);
    if (denial === undefined) return false;
    entry.revoked = denial;
    this.#options.metrics.denied(denial.policy);
    return true;
  }

  #countBytes(entry: Entry, bytes: LiveBytes): void {
    entry.flow.receivedBytes.inc(bytes.bytesSent - entry.countedSent);
    entry.flow.sentBytes.inc(bytes.bytesReceived - entry.countedReceived);
    entry.countedSent = Math.max(entry.countedSent, bytes.bytesSent);
    entry.countedReceived = Math.max(entry.countedReceived, bytes.bytesReceived);
  }

  #pod(podId: string): PodEntry {
    let pod = this.#pods.get(podId);
    if (pod === undefined)
      this.#pods.set(podId, (pod = { ids: new Set(), workload: undefined, policies: undefined }));
    return pod;
  }

  #forget({ id, podId }: Connection): void {
    const pod = this.#pods.get(podId);
    if (pod === undefined) return;
    pod.ids.delete(id);
    if (pod.ids.size === 0) this.#pods.delete(podId);
  }

  #remember(finished: FinishedConnection): void {
    if (this.#recent.length < this.#recentMax) {
      this.#recent.push(finished);
      return;
    }
    this.#recent[this.#recentNext] = finished;
    this.#recentNext = (this.#recentNext + 1) % this.#recentMax;
  }
}

/** The source's end first. */
function endsOf(entry: Entry | undefined): readonly Entry[] {
  if (entry === undefined) return [];
  return entry.peer === undefined ? [entry] : [entry, entry.peer];
}

function isSame(before: readonly Policy[] | undefined, now: readonly Policy[]): boolean {
  return before === now || (before?.length === now.length && before.every((policy, i) => policy === now[i]));
}
