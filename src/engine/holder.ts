// The way to the holder: the small program that started this one and keeps the listeners of its pods, so that they
// outlive it (native/holder). Says what is to be kept, and hears what was kept before.
import { closeSync } from 'node:fs';
import { loadAddon } from './addon.ts';
import { EngineError } from './errors.ts';
import type { FileDescriptor, Listeners } from './types.ts';

/** A pod's listeners, made by an earlier process. Whoever is given one closes its descriptors (`closeListeners`). */
export interface HeldPod {
  readonly podId: string;
  /** SO_NETNS_COOKIE of the namespace that the listeners are in. */
  readonly netnsCookie: bigint;
  /** What was said to be read again with them. */
  readonly note: string;
  readonly listeners: Listeners;
}

export interface HolderFacts {
  readonly pid: number;
  /** How often it has started a process because one had died. */
  readonly restarts: number;
  /** Another process serves these pods and goes on until this one is ready. */
  readonly predecessor: boolean;
  readonly podsMax: number;
}

export interface HolderHandlers {
  held(pod: HeldPod): void;
  /** Everything that was kept has been told. */
  all(facts: HolderFacts): void;
  /** A successor serves: nothing more is to be accepted. */
  superseded(): void;
  /** The answer to `replace`: a successor is being started, or there is none (also later, if it failed). */
  replacing(): void;
  alone(): void;
  /** The holder has ended. */
  gone(): void;
}

/** Bytes of a note, at most. */
export const holderNoteBytesMax = 2047;

interface NativeMessage {
  readonly kind: number;
  readonly netnsCookie: bigint;
  readonly pod: string;
  readonly note: string;
  readonly numbers: readonly number[];
  readonly listeners: readonly FileDescriptor[];
}

/** See native/addon/holder_object.h. */
interface NativeChannel {
  send(kind: number): number;
  keep(pod: string, note: string, listeners: readonly FileDescriptor[]): number;
  drop(pod: string, netnsCookie: bigint): number;
  unref(): void;
  close(): void;
}

interface HolderAddon {
  readonly HolderChannel: new (
    fd: FileDescriptor,
    onMessage: (message: NativeMessage | null) => void,
  ) => NativeChannel;
  readonly holderKinds: Readonly<
    Record<
      'take' | 'ready' | 'replace' | 'held' | 'all' | 'superseded' | 'replacing' | 'alone',
      number | undefined
    >
  >;
  listenerNetns(listener: FileDescriptor): number;
}

/** How long a message waits that the pair of sockets had no room for. */
const retryMs = 5;
const EAGAIN = -11;

export class HolderConnection {
  readonly #native: NativeChannel;
  readonly #kinds: HolderAddon['holderKinds'];
  readonly #handlers: HolderHandlers;
  /** Messages that found no room: the last one about each pod, and one of each kind. */
  readonly #waiting = new Map<string, () => number>();
  #retry: NodeJS.Timeout | undefined;

  /** `fd` is this object's from now on. Throws ERR_CULVERT_ENGINE_FAILED if no holder is at its other end. */
  constructor(fd: FileDescriptor, handlers: HolderHandlers) {
    const addon = loadAddon() as unknown as HolderAddon;
    this.#kinds = addon.holderKinds;
    this.#handlers = handlers;
    try {
      this.#native = new addon.HolderChannel(fd, (message) => this.#hear(message));
    } catch (cause) {
      throw new EngineError('ERR_CULVERT_ENGINE_FAILED', `descriptor ${fd} does not lead to a holder`, {
        cause,
      });
    }
  }

  /** Asks for what is kept: `held` for each pod, then `all`. Until then the process does not end for lack of work. */
  take(): void {
    this.#say('take');
  }

  /** The listeners stay the caller's, who says `drop` before it closes them. */
  keep(podId: string, note: string, { outbound, plaintext, hbone }: Listeners): void {
    this.#post(`pod ${podId}`, () => this.#native.keep(podId, note, [outbound, plaintext, hbone]));
  }

  drop(podId: string, netnsCookie: bigint): void {
    this.#post(`pod ${podId}`, () => this.#native.drop(podId, netnsCookie));
  }

  /** This process serves: its predecessor may go. */
  ready(): void {
    this.#say('ready');
  }

  /** Asks for a successor. */
  replace(): void {
    this.#say('replace');
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#waiting.clear();
    this.#native.close();
  }

  #say(kind: 'take' | 'ready' | 'replace'): void {
    this.#post(kind, () => this.#native.send(this.#kinds[kind] ?? 0));
  }

  /** Keeps the order, save that of two messages about one pod the later is enough. */
  #post(about: string, send: () => number): void {
    this.#waiting.delete(about);
    if (this.#waiting.size === 0 && send() !== EAGAIN) return;
    this.#waiting.set(about, send);
    this.#retry ??= setTimeout(() => this.#postWaiting(), retryMs).unref();
  }

  #postWaiting(): void {
    this.#retry = undefined;
    for (const [about, send] of this.#waiting) {
      if (send() === EAGAIN) {
        this.#retry = setTimeout(() => this.#postWaiting(), retryMs).unref();
        return;
      }
      this.#waiting.delete(about);
    }
  }

  #hear(message: NativeMessage | null): void {
    const handlers = this.#handlers;
    if (message === null) return handlers.gone();
    const [outbound, plaintext, hbone] = message.listeners;
    if (outbound !== undefined && plaintext !== undefined && hbone !== undefined) {
      const { pod: podId, netnsCookie, note } = message;
      const held = { podId, netnsCookie, note, listeners: { outbound, plaintext, hbone } };
      if (message.kind === this.#kinds.held) handlers.held(held);
      else closeListeners(held.listeners);
      return;
    }
    switch (message.kind) {
      case this.#kinds.all: {
        this.#native.unref();
        const [pid = 0, restarts = 0, predecessor = 0, podsMax = 0] = message.numbers;
        return handlers.all({ pid, restarts, predecessor: predecessor !== 0, podsMax });
      }
      case this.#kinds.superseded:
        return handlers.superseded();
      case this.#kinds.replacing:
        return handlers.replacing();
      case this.#kinds.alone:
        return handlers.alone();
    }
  }
}

export function closeListeners({ outbound, plaintext, hbone }: Listeners): void {
  for (const fd of [outbound, plaintext, hbone]) closeSync(fd);
}

/** Opens the network namespace that a pod's listeners are in; the caller closes it. Throws ERR_CULVERT_ENGINE_FAILED. */
export function openNamespaceOf({ outbound }: Listeners): FileDescriptor {
  const netns = (loadAddon() as unknown as HolderAddon).listenerNetns(outbound);
  if (netns >= 0) return netns;
  throw new EngineError('ERR_CULVERT_ENGINE_FAILED', 'cannot open the namespace of a listener', {
    errno: -netns,
  });
}
