// What is done to a pod: listeners of the engine and capture around them, put up and taken down in the order that never
// lets a packet pass by.
import type { Capture, CaptureSpec } from '../../engine/capture-types.ts';
import type { Engine, Listeners } from '../../engine/types.ts';
import type { IpAddress } from '../../mesh/address.ts';
import type { PodSettings } from '../../mesh/pod-settings.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Handover } from '../handover.ts';
import type { CaptureCounts } from './capture-counts.ts';
import type { Pod } from './pod.ts';

export interface AttachmentOptions {
  readonly engine: Engine;
  readonly capture: Capture;
  readonly counts: CaptureCounts;
  readonly logger: Logger;
  /** Keeps listeners for the next process; undefined without a holder. */
  readonly handover?: Pick<Handover, 'inherited' | 'keep' | 'drop'>;
  readonly ipv6: boolean;
  /** Addresses of the node beside those in a pod's settings. */
  readonly nodeAddresses: readonly IpAddress[];
}

export class Attachment {
  readonly #options: AttachmentOptions;

  constructor(options: AttachmentOptions) {
    this.#options = options;
  }

  /** Idempotent. What fails leaves a pod that was not attached as it was. */
  attach(pod: Pod, settings: PodSettings, identity: string): void {
    const { engine, capture, counts, handover, logger } = this.#options;
    const { uid, netns } = pod;
    const listeners = this.#listen(pod, identity);
    try {
      const result = capture.attach({ ...this.#specOf(uid, settings), netns, listeners });
      handover?.keep(pod.announcement, identity, result.netnsCookie, listeners);
      pod.adopted ||= result.adopted;
      pod.netnsCookie = result.netnsCookie;
      counts.begin(uid, result.keptConnections);
      logger.info('captured', {
        pod: uid,
        name: `${settings.namespace}/${settings.name}`,
        adopted: result.adopted,
        older_connections: result.keptConnections,
      });
    } catch (error) {
      if (pod.attached === undefined) engine.removePod(uid, 0);
      throw error;
    }
    pod.attached = { settings, identity };
    pod.moved = false;
    pod.pinned = false;
  }

  /** On the listeners of an earlier process, where connections may wait, if they fit. */
  #listen({ uid, netns }: Pod, tlsIdentity: string): Listeners {
    const { engine, handover, ipv6, logger } = this.#options;
    const inherited = handover?.inherited(uid);
    if (inherited !== undefined) {
      try {
        return engine.addPod(uid, netns, { tlsIdentity, ipv6, inherited });
      } catch (error) {
        logger.warn('the listeners of an earlier process do not fit', { pod: uid, error: messageOf(error) });
      }
    }
    return engine.addPod(uid, netns, { tlsIdentity, ipv6 });
  }

  /** Changes probes and exclusions in place. */
  update(pod: Pod, settings: PodSettings): void {
    if (pod.attached === undefined) return;
    this.#options.capture.update(this.#specOf(pod.uid, settings));
    pod.attached = { ...pod.attached, settings };
  }

  /** Compares what is in the namespace with what should be, and mends it. True if there was something to mend. */
  audit(pod: Pod): boolean {
    const { capture, logger } = this.#options;
    const { attached, uid } = pod;
    if (attached === undefined || pod.draining) return false;
    const faults = capture.audit(uid);
    pod.faults = faults;
    if (faults.length === 0) return false;
    logger.warn('capture is not as it should be, mending it', { pod: uid, faults });
    this.attach(pod, attached.settings, attached.identity);
    pod.faults = capture.audit(uid);
    return true;
  }

  /** Its connections have `drainMs`; with `release`, what it opens from now on goes direct. */
  drain(pod: Pod, drainMs: number, release: boolean): void {
    if (release) this.#options.capture.release(pod.uid);
    this.#options.engine.removePod(pod.uid, drainMs);
    this.#options.handover?.drop(pod.uid);
    pod.draining = true;
  }

  /** Takes everything away; what is open is closed. Idempotent. */
  detach(pod: Pod): void {
    const { engine, capture, counts, logger } = this.#options;
    counts.end(pod.uid);
    if (pod.attached !== undefined) engine.removePod(pod.uid, 0);
    this.#options.handover?.drop(pod.uid);
    capture.detach(pod.uid);
    pod.attached = undefined;
    pod.draining = false;
    pod.moved = false;
    pod.pinned = false;
    pod.faults = [];
    pod.netnsCookie = undefined;
    logger.info('no longer captured', { pod: pod.uid });
  }

  /** Closes connections older than capture. Returns how many; throws if the kernel cannot. */
  closeKept(pod: Pod): number {
    if (pod.attached === undefined) return 0;
    const { capture, counts, logger } = this.#options;
    const closed = capture.closeKept(pod.uid);
    counts.forgetKept(pod.uid);
    logger.info('closed connections older than capture, as was asked', { pod: pod.uid, connections: closed });
    return closed;
  }

  #specOf(podId: string, settings: PodSettings): Omit<CaptureSpec, 'netns' | 'listeners'> {
    const { probePorts, exclusions } = settings;
    const nodeAddresses = [...new Set([...settings.nodeAddresses, ...this.#options.nodeAddresses])];
    return { podId, probePorts, nodeAddresses, exclusions };
  }
}
