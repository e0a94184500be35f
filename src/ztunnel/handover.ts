// What passes from one ztunnel to the next by way of the holder: the listeners of the pods, each with a note of whose
// they are. No secret is in a note: the next process asks for certificates and configuration of its own.
import type { HeldPod, HolderConnection, HolderFacts, HolderHandlers } from '../engine/holder.ts';
import { closeListeners, holderNoteBytesMax, openNamespaceOf } from '../engine/holder.ts';
import type { FileDescriptor, Listeners } from '../engine/types.ts';
import type { Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { ZtunnelError } from './errors.ts';
import type { PodAnnouncement } from './pods/pod-source.ts';

/** A pod as an earlier process knew it. */
export interface RestoredPod {
  readonly announcement: PodAnnouncement;
  /** Its SPIFFE id then: a certificate can be asked for before the controller has said anything. */
  readonly identity: string;
  /** The receiver closes it. */
  readonly netns: FileDescriptor;
}

type Connect = (
  handlers: HolderHandlers,
) => Pick<HolderConnection, 'take' | 'keep' | 'drop' | 'ready' | 'replace' | 'close'>;

const takeMsMax = 10_000;

export class Handover {
  readonly #connection: ReturnType<Connect>;
  /** What no pod has taken over yet. */
  readonly #held = new Map<string, HeldPod>();
  /** What the holder keeps, as far as this process knows: the namespace and the note by pod. */
  readonly #kept = new Map<string, { readonly netnsCookie: bigint; readonly note: string }>();
  readonly #taken = Promise.withResolvers<HolderFacts>();
  readonly #superseded = Promise.withResolvers<undefined>();
  #facts: HolderFacts | undefined;
  #alone: () => void = () => undefined;
  #isSuperseded = false;
  #restore: ((pod: RestoredPod) => void) | undefined;
  #logger: Logger | undefined;
  #gone = false;

  private constructor(connect: Connect) {
    this.#connection = connect({
      held: (pod) => this.#receive(pod),
      all: (facts) => this.#taken.resolve(facts),
      superseded: () => this.#supersede(),
      replacing: () => this.#logger?.info('the holder starts a successor'),
      alone: () => this.#alone(),
      gone: () => this.#end(),
    });
  }

  /** Resolves when everything that is kept has come. Throws ERR_CULVERT_HOLDER if the holder does not answer. */
  static async take(connect: Connect, clock: Clock): Promise<Handover> {
    const handover = new Handover(connect);
    const timer = clock.after(takeMsMax, () =>
      handover.#taken.reject(new ZtunnelError('ERR_CULVERT_HOLDER', 'the holder does not answer')),
    );
    handover.#connection.take();
    try {
      handover.#facts = await handover.#taken.promise;
    } finally {
      timer.cancel();
    }
    return handover;
  }

  get facts(): HolderFacts | undefined {
    return this.#facts;
  }

  /** Another process serves the same pods until this one is ready. */
  get takesOver(): boolean {
    return this.#facts?.predecessor === true;
  }

  /** Pods whose listeners the holder keeps. */
  get size(): number {
    return this.#kept.size;
  }

  get isSuperseded(): boolean {
    return this.#isSuperseded;
  }

  /** Resolves when a successor serves. */
  get superseded(): Promise<void> {
    return this.#superseded.promise;
  }

  /** `restore` is called for each pod that was kept, and for those that the predecessor still adds. */
  restoreTo(logger: Logger, restore: (pod: RestoredPod) => void): void {
    this.#logger = logger;
    this.#restore = restore;
    for (const pod of [...this.#held.values()]) this.#announce(pod);
  }

  /** Listeners that a pod had; they stay here until `keep` or `drop` names the pod. */
  inherited(podId: string): Listeners | undefined {
    return this.#held.get(podId)?.listeners;
  }

  /** These listeners serve the pod from now on, and are to be kept. */
  keep(pod: PodAnnouncement, identity: string, netnsCookie: bigint, listeners: Listeners): void {
    const note = noteOf(pod, identity);
    const held = this.#held.get(pod.uid);
    const before = this.#kept.get(pod.uid);
    this.#forget(pod.uid);
    const inherited = held !== undefined && held.netnsCookie === netnsCookie && held.note === note;
    if (inherited || (before?.netnsCookie === netnsCookie && before.note === note)) {
      this.#kept.set(pod.uid, { netnsCookie, note });
      return;
    }
    if (this.#gone) return;
    const tooMany = this.#kept.size >= (this.#facts?.podsMax ?? 0) && before === undefined;
    if (tooMany || Buffer.byteLength(note) > holderNoteBytesMax)
      return this.#logger?.warn('the holder cannot keep the listeners of a pod', {
        pod: pod.uid,
        reason: tooMany ? `it keeps ${this.#kept.size} already` : 'its names are too long',
      });
    this.#connection.keep(pod.uid, note, listeners);
    this.#kept.set(pod.uid, { netnsCookie, note });
  }

  /** The pod's listeners are to be closed: its next connection shall not wait for anybody. Idempotent. */
  drop(podId: string): void {
    const cookie = this.#held.get(podId)?.netnsCookie ?? this.#kept.get(podId)?.netnsCookie;
    this.#forget(podId);
    this.#kept.delete(podId);
    if (cookie !== undefined && !this.#gone) this.#connection.drop(podId, cookie);
  }

  ready(): void {
    this.#connection.ready();
  }

  /** Asks for a successor. `alone` is called if there will be none, now or later; `superseded` tells of one. */
  replace(alone: () => void): void {
    this.#alone = alone;
    if (this.#gone) alone();
    else this.#connection.replace();
  }

  close(): void {
    this.#gone = true;
    this.#connection.close();
    for (const podId of [...this.#held.keys()]) this.#forget(podId);
  }

  #supersede(): void {
    this.#isSuperseded = true;
    this.#superseded.resolve(undefined);
  }

  #receive(pod: HeldPod): void {
    // Told again: the predecessor made other listeners for it.
    this.#forget(pod.podId);
    this.#held.set(pod.podId, pod);
    this.#kept.set(pod.podId, pod);
    if (this.#restore !== undefined) this.#announce(pod);
  }

  #announce(pod: HeldPod): void {
    const note = readNote(pod);
    if (note === undefined) {
      this.#logger?.warn('the holder keeps listeners of a pod that cannot be made out', { pod: pod.podId });
      return this.drop(pod.podId);
    }
    let netns: FileDescriptor;
    try {
      netns = openNamespaceOf(pod.listeners);
    } catch (error) {
      this.#logger?.warn('a pod cannot be taken over', { pod: pod.podId, error: messageOf(error) });
      return this.drop(pod.podId);
    }
    this.#restore?.({ ...note, netns });
  }

  #forget(podId: string): void {
    const held = this.#held.get(podId);
    if (held === undefined) return;
    this.#held.delete(podId);
    closeListeners(held.listeners);
  }

  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#logger?.error('the holder has ended: listeners are no longer kept');
    this.#taken.reject(new ZtunnelError('ERR_CULVERT_HOLDER', 'the holder has ended'));
    this.#alone();
  }
}

function noteOf({ namespace, name, netns }: PodAnnouncement, identity: string): string {
  return JSON.stringify({ namespace, name, netns, identity });
}

function readNote({ podId, note }: HeldPod): Omit<RestoredPod, 'netns'> | undefined {
  try {
    const { namespace, name, netns, identity } = JSON.parse(note) as Record<string, unknown>;
    if (typeof namespace !== 'string' || typeof name !== 'string') return undefined;
    if (typeof netns !== 'string' || typeof identity !== 'string') return undefined;
    return { announcement: { uid: podId, namespace, name, netns }, identity };
  } catch {
    return undefined; // of another version
  }
}
