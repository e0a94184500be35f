// Keeps the pods of this node captured: those that exist, are enrolled and have a certificate. Level-triggered: whatever
// happens only says "look at this pod again"; one pod is looked at per turn of the event loop, since attaching takes
// milliseconds in which no connection is decided.
import { closeSync } from 'node:fs';
import type { FileDescriptor } from '../../engine/types.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import type { PodSettings } from '../../mesh/pod-settings.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { Timer } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ZtunnelError } from '../errors.ts';
import type { RestoredPod } from '../handover.ts';
import { Attachment } from './attachment.ts';
import { CaptureCounts } from './capture-counts.ts';
import { isSameNamespace, openNamespace } from './netns-file.ts';
import { PodNames } from './pod-names.ts';
import { type Pod, type PodView, isSettled, newPod, stateOf, unsettledOf, viewOf } from './pod.ts';
import type { PodManagerOptions } from './pod-manager-options.ts';
import type { PodAnnouncement, PodPhase, PodSession, PodState } from './pod-source.ts';
import { type PodStep, nextStep } from './reconcile.ts';

export interface AcceptingPod {
  readonly podId: string;
  readonly identity: string;
}

export class PodManager {
  readonly #options: PodManagerOptions;
  readonly #logger: Logger;
  readonly #attachment: Attachment;
  /** What capture has counted on this node. */
  readonly captureCounts: CaptureCounts;
  readonly #pods = new Map<string, Pod>();
  readonly #names = new PodNames();
  /** Uids to look at; `audits` those whose capture is to be compared as well. */
  readonly #queue = new Set<string>();
  readonly #audits = new Set<string>();
  /** Pins of an earlier process that nobody has named yet, and when somebody last kept them. */
  readonly #orphans = new Map<string, number>();
  #ordinal = 0;
  #pumping: NodeJS.Immediate | undefined;
  #auditTimer: Timer | undefined;
  #nodeDrains = false;
  #closed = false;
  #mended = 0;

  constructor(options: PodManagerOptions) {
    this.#options = options;
    this.#logger = options.logger.child('pods');
    this.captureCounts = new CaptureCounts({ ...options, logger: this.#logger });
    this.#attachment = new Attachment({ ...options, counts: this.captureCounts, logger: this.#logger });
    for (const uid of options.capture.pinned()) this.#orphans.set(uid, 0);
    this.#armAudit();
  }

  get size(): number {
    return this.#pods.size;
  }

  /** Audits that found capture amiss, since the start. */
  get mended(): number {
    return this.#mended;
  }

  /** Closes a pod's connections older than capture. Undefined if it is not captured; throws if the kernel cannot. */
  closeKept(podId: string): number | undefined {
    const pod = this.#pods.get(podId);
    return pod?.attached === undefined ? undefined : this.#attachment.closeKept(pod);
  }

  settingsOf(podId: string): PodSettings | undefined {
    const pod = this.#pods.get(podId);
    if (pod === undefined) return undefined;
    return (
      this.#options.settingsOf(pod.announcement.namespace, pod.announcement.name) ?? pod.attached?.settings
    );
  }

  /** The pod that serves a workload and takes connections now, and the identity that it proves. */
  accepting(workload: Pick<Workload, 'namespace' | 'name' | 'uid'>): AcceptingPod | undefined {
    const pod = this.#names.accepting(workload);
    if (pod?.attached === undefined || this.#nodeDrains) return undefined;
    if (this.settingsOf(pod.uid)?.uid !== workload.uid) return undefined;
    return { podId: pod.uid, identity: pod.attached.identity };
  }

  session(): PodSession {
    const began = (this.#ordinal += 1);
    return {
      add: (announcement) => this.#add(announcement),
      keep: (uid) => this.#keep(uid),
      remove: (uid) => this.#remove(uid),
      snapshot: () => this.#removeUnnamedSince(began),
      settled: (uid, waitMs) => this.#settled(uid, waitMs),
    };
  }

  /** Takes up a pod that an earlier process served. It stays until a source that knows all pods does not name it. */
  restore({ announcement, identity, netns }: RestoredPod): void {
    const pod = this.#pods.get(announcement.uid);
    if (pod !== undefined || this.#pods.size >= this.#options.podsMax) return closeSync(netns);
    const restored = this.#newPod(announcement, netns);
    this.#enqueue(announcement.uid);
    try {
      this.#useIdentity(restored, identity); // a head start: the controller has the last word
    } catch (error) {
      this.#fail(restored, error);
    }
  }

  /** Those of these pods that nothing can be said of yet: settings, certificate or capture are still to come. */
  unsettled(uids: ReadonlySet<string>): readonly string[] {
    return unsettledOf([...this.#pods.values()].filter(({ uid }) => uids.has(uid)));
  }

  /** Look at every pod again: settings or certificates have changed. */
  reconsider(): void {
    for (const uid of this.#pods.keys()) this.#enqueue(uid);
  }

  /** A connection of this pod has ended: a drain may be over. */
  connectionClosed(podId: string): void {
    const pod = this.#pods.get(podId);
    if (pod?.draining === true && this.#options.openConnections(podId) === 0) this.#enqueue(podId);
  }

  *views(): IterableIterator<PodView> {
    for (const [uid, pod] of this.#pods) {
      const keptConnections = this.captureCounts.kept(uid);
      const counters = this.captureCounts.of(uid);
      yield viewOf(pod, { settings: this.settingsOf(uid), keptConnections, counters });
    }
  }

  /** How many pods are in each phase. */
  counts(): Readonly<Record<PodPhase, number>> {
    const counts = { waiting: 0, running: 0, left_alone: 0, failed: 0, draining: 0 };
    for (const pod of this.#pods.values()) counts[pod.phase] += 1;
    return counts;
  }

  /**
   * From now on no pod is attached, compared or mended: listeners that a drain has closed shall stay closed, and who
   * still waits for settings or a certificate is its successor's to capture.
   */
  beginDrain(): void {
    this.#nodeDrains = true;
    this.#auditTimer?.cancel();
  }

  /** Stops looking after pods. What is captured stays captured: a successor adopts it. */
  close(): void {
    this.#closed = true;
    this.#auditTimer?.cancel();
    clearImmediate(this.#pumping);
    for (const pod of this.#pods.values()) {
      pod.timer?.cancel();
      closeSync(pod.netns);
      for (const waiter of pod.waiters) waiter(undefined);
    }
    this.#pods.clear();
  }

  #add(announcement: PodAnnouncement): PodState {
    const { uid } = announcement;
    const known = this.#pods.get(uid);
    if (known === undefined && this.#pods.size >= this.#options.podsMax)
      throw new ZtunnelError('ERR_CULVERT_POD_LIMIT', `this node serves ${this.#pods.size} pods already`);
    const netns = openNamespace(announcement.netns);
    const pod = known ?? this.#newPod(announcement, netns);
    pod.named = this.#ordinal += 1;
    pod.removed = false;
    if (known !== undefined) this.#replaceNamespace(known, netns);
    this.#enqueue(uid);
    return stateOf(pod);
  }

  #newPod(announcement: PodAnnouncement, netns: FileDescriptor): Pod {
    const pinned = this.#orphans.delete(announcement.uid);
    const pod = newPod(announcement, netns, { pinned, random: this.#options.random });
    this.#pods.set(announcement.uid, pod);
    this.#names.add(pod);
    return pod;
  }

  /** The same pod may come back with another namespace: its sandbox was made anew. */
  #replaceNamespace(pod: Pod, netns: FileDescriptor): void {
    if (isSameNamespace(pod.netns, netns)) return closeSync(netns);
    closeSync(pod.netns);
    pod.netns = netns;
    pod.moved = pod.attached !== undefined;
  }

  #keep(uid: string): void {
    this.#ordinal += 1;
    const pod = this.#pods.get(uid);
    if (pod !== undefined) pod.named = this.#ordinal;
    else if (this.#orphans.has(uid)) this.#orphans.set(uid, this.#ordinal);
  }

  #remove(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return this.#releaseOrphan(uid);
    pod.removed = true;
    this.#enqueue(uid);
  }

  #removeUnnamedSince(ordinal: number): void {
    for (const [uid, pod] of this.#pods) if (pod.named < ordinal) this.#remove(uid);
    for (const [uid, named] of this.#orphans) if (named < ordinal) this.#releaseOrphan(uid);
  }

  #releaseOrphan(uid: string): void {
    if (!this.#orphans.delete(uid)) return;
    try {
      this.#options.capture.detach(uid);
      this.#logger.info('released what an earlier process had captured', { pod: uid });
    } catch (error) {
      this.#orphans.set(uid, 0);
      this.#logger.error('cannot release a pod', { pod: uid, error: messageOf(error) });
    }
  }

  async #settled(uid: string, waitMs: number): Promise<PodState | undefined> {
    const pod = this.#pods.get(uid);
    if (pod === undefined || isSettled(pod)) return pod && stateOf(pod);
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(waitMs, () => finish(stateOf(pod)));
      const finish = (state: PodState | undefined): void => {
        timer.cancel();
        pod.waiters = pod.waiters.filter((waiter) => waiter !== finish);
        resolve(state);
      };
      pod.waiters.push(finish);
    });
  }

  #enqueue(uid: string): void {
    if (this.#closed) return;
    this.#queue.add(uid);
    this.#pumping ??= setImmediate(() => this.#pump());
  }

  #pump(): void {
    this.#pumping = undefined;
    const [uid] = this.#queue;
    if (uid === undefined) return;
    this.#queue.delete(uid);
    const pod = this.#pods.get(uid);
    if (pod !== undefined) this.#reconcile(pod);
    if (this.#queue.size > 0) this.#pumping = setImmediate(() => this.#pump());
  }

  #reconcile(pod: Pod): void {
    const { announcement } = pod;
    const settings = this.#options.settingsOf(announcement.namespace, announcement.name);
    try {
      if (settings?.enrolled === true && !pod.removed) this.#useIdentity(pod, formatIdentity(settings));
      if (pod.draining && this.#options.openConnections(pod.uid) === 0) this.#detach(pod);
      const step = nextStep({
        ...pod,
        settings,
        identity: settings === undefined ? undefined : formatIdentity(settings),
        hasCertificate: pod.identity !== undefined && this.#options.certificates.has(pod.identity),
      });
      this.#take(pod, step);
    } catch (error) {
      this.#fail(pod, error);
    }
  }

  #take(pod: Pod, step: PodStep): void {
    switch (step.kind) {
      case 'none':
        if (step.phase === 'left_alone') this.#dropIdentity(pod);
        if (this.#audits.delete(pod.uid) && !this.#nodeDrains && this.#attachment.audit(pod))
          this.#mended += 1;
        return this.#settle(pod, step.phase, '');
      case 'wait':
        return this.#settle(pod, 'waiting', step.detail);
      case 'attach':
        if (this.#nodeDrains) return this.#settle(pod, 'waiting', 'another proxy: this one is draining');
        if (!this.#options.meshIsKnown())
          return this.#settle(pod, 'waiting', 'the first complete configuration');
        this.#attachment.attach(pod, step.settings, step.identity);
        return this.#settle(pod, 'running', '');
      case 'update':
        this.#attachment.update(pod, step.settings);
        return this.#settle(pod, 'running', '');
      case 'drain':
        this.#drain(pod, step.release);
        return this.#settle(pod, 'draining', '');
      case 'detach':
        this.#detach(pod);
        this.#settle(pod, 'waiting', 'its turn');
        return this.#enqueue(pod.uid);
      case 'forget':
        return this.#forget(pod);
    }
  }

  #drain(pod: Pod, release: boolean): void {
    const { clock, drainMs } = this.#options;
    this.#attachment.drain(pod, drainMs, release);
    pod.timer?.cancel();
    pod.timer = clock.after(drainMs, () => this.#endDrain(pod));
    this.#enqueue(pod.uid);
  }

  #endDrain(pod: Pod): void {
    try {
      if (pod.draining) this.#detach(pod);
      this.#enqueue(pod.uid);
    } catch (error) {
      this.#fail(pod, error);
    }
  }

  #detach(pod: Pod): void {
    pod.timer?.cancel();
    this.#attachment.detach(pod);
  }

  #forget(pod: Pod): void {
    pod.timer?.cancel();
    this.#dropIdentity(pod);
    this.#options.handover?.drop(pod.uid);
    closeSync(pod.netns);
    this.#pods.delete(pod.uid);
    this.#names.delete(pod);
    for (const waiter of [...pod.waiters]) waiter(undefined);
    this.#options.changed?.(pod.uid);
  }

  #fail(pod: Pod, error: unknown): void {
    const delayMs = pod.backoff.next();
    this.#logger.error('cannot bring a pod to where it should be', {
      pod: pod.uid,
      error: messageOf(error),
      retry_ms: Math.round(delayMs),
    });
    pod.timer?.cancel();
    pod.timer = this.#options.clock.after(delayMs, () =>
      pod.draining ? this.#endDrain(pod) : this.#enqueue(pod.uid),
    );
    if (pod.attached !== undefined) this.#audits.add(pod.uid);
    pod.phase = 'failed';
    pod.detail = messageOf(error);
  }

  #settle(pod: Pod, phase: PodPhase, detail: string): void {
    if (phase === 'running') pod.backoff.reset();
    pod.phase = phase;
    pod.detail = detail;
    if (isSettled(pod)) for (const waiter of [...pod.waiters]) waiter(stateOf(pod));
    this.#options.changed?.(pod.uid);
  }

  #useIdentity(pod: Pod, identity: string): void {
    if (pod.identity === identity) return;
    this.#options.certificates.use(identity);
    this.#dropIdentity(pod);
    pod.identity = identity;
  }

  #dropIdentity(pod: Pod): void {
    if (pod.identity !== undefined) this.#options.certificates.release(pod.identity);
    pod.identity = undefined;
  }

  #armAudit(): void {
    this.#auditTimer = this.#options.clock.after(this.#options.auditIntervalMs, () => {
      for (const uid of this.#pods.keys()) {
        this.#audits.add(uid);
        this.#enqueue(uid);
      }
      this.#armAudit();
    });
  }
}
