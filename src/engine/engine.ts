// The TypeScript face of the native engine: arguments checked here, errors made here, bytes moved there.
import { type SocketAddress, parseIp } from '../mesh/address.ts';
import { loadAddon } from './addon.ts';
import { EngineError } from './errors.ts';
import { type EngineLayout, checkLayout, closeReasons, decodeEvents } from './events.ts';
import type {
  CloseReason,
  ConnectionId,
  Engine,
  EngineEvent,
  EngineEventHandler,
  EngineOptions,
  EngineStats,
  FileDescriptor,
  InboundDecision,
  InboundReuse,
  Listeners,
  LiveBytes,
  OutboundDecision,
  OutboundReuse,
  TlsIdentity,
  TunnelDecision,
} from './types.ts';

/** The native class; see native/addon/engine_object.cc. Methods that return false want to be called again later. */
interface NativeEngine {
  /** 0 or an errno. Once. */
  start(): number;
  addPod(
    podId: string,
    netns: number,
    identity: string,
    ipv6: boolean,
    inherited?: readonly number[],
  ): number[] | number;
  removePod(podId: string, drainMs: number): void;
  setIdentity(
    name: string,
    chain: string,
    key: string,
    roots: string,
    trustDomains: readonly string[],
  ): string | undefined;
  removeIdentity(name: string): void;
  setEpoch(epoch: number): void;
  rememberRoute(id: number, ticket: number, epoch: number, choices: readonly NativeChoice[]): boolean;
  decideTunnel(id: number, ...tunnel: NativeTunnel): boolean;
  decidePlain(id: number, ip: string, port: number): boolean;
  decideDeliver(
    id: number,
    ip: string,
    port: number,
    source: string,
    headers: readonly string[],
    ticket: number,
    epoch: number,
    authority: string,
  ): boolean;
  decideDirect(id: number, podId: string, ip: string, port: number, source: string): boolean;
  decideRefuse(id: number, reason: number, status: number): boolean;
  closeConnection(id: number, reason: number): void;
  drain(deadlineMs: number): void;
  stats(): EngineStats;
  liveBytes(id: number): [number, number] | undefined;
  close(): Buffer | undefined;
}

/** What `decideTunnel` takes after the id. */
type NativeTunnel = readonly [
  ip: string,
  port: number,
  authority: string,
  identity: string,
  expected: readonly string[],
  headers: readonly string[],
];
/** `below`: running sum of the weights. */
type NativeChoice = readonly [below: number, ...NativeTunnel];

type NativeEngineClass = new (options: EngineOptions, onBatch: (batch: Buffer) => void) => NativeEngine;

/** engine.md: the defaults of every bound and deadline. */
export const defaultEngineOptions: EngineOptions = {
  threads: 0,
  mark: 0x539,
  groups: '*X25519MLKEM768:*X25519:P-256',
  limits: {
    undecidedPerPod: 1024,
    undecidedTotal: 8192,
    streamsPerTunnel: 100,
    handshakesPerThread: 256,
    handshakesPerSource: 64,
    tunnelsPerSource: 64,
    inboundTunnels: 8192,
    failedHandshakesPerSource: 200,
    bufferBytes: 128 * 1024 * 1024,
    idleTunnels: 512,
    reservedDescriptors: 256,
  },
  timeouts: {
    decisionMs: 5000,
    dialMs: 10_000,
    handshakeMs: 5000,
    prefaceMs: 5000,
    connectResponseMs: 15_000,
    pingIntervalMs: 10_000,
    pingTimeoutMs: 20_000,
    stalledStreamMs: 60_000,
    idleTunnelMs: 300_000,
  },
};

/** How long a decision waits that the engine's queue had no room for. */
const retryMs = 5;

/**
 * Starts the engine's threads. `onEvents` is called with one batch at a time, never from within a method of the
 * engine except `close()`, which delivers what is left. Throws ERR_CULVERT_ADDON_MISSING,
 * ERR_CULVERT_ADDON_INCOMPATIBLE, or ERR_CULVERT_ENGINE_FAILED if there are no descriptors or threads for it.
 */
export function startEngine(options: EngineOptions, onEvents: EngineEventHandler): Engine {
  const addon = loadAddon();
  checkLayout(addon['engineLayout'] as EngineLayout);
  return new AddonEngine(addon['Engine'] as NativeEngineClass, options, onEvents);
}

class AddonEngine implements Engine {
  readonly #native: NativeEngine;
  readonly #onEvents: EngineEventHandler;
  /** Decisions that found the queue full, oldest first: at most one per undecided connection. */
  #waiting: (() => boolean)[] = [];
  #retry: NodeJS.Timeout | undefined;
  #drained: (() => void)[] = [];
  #draining = false;
  #closed = false;

  constructor(Native: NativeEngineClass, options: EngineOptions, onEvents: EngineEventHandler) {
    this.#onEvents = onEvents;
    this.#native = new Native(options, (batch) => this.#deliver(batch));
    const errno = this.#native.start();
    if (errno === 0) return;
    this.close();
    throw new EngineError('ERR_CULVERT_ENGINE_FAILED', "the engine's threads cannot start", { errno });
  }

  addPod(
    podId: string,
    netns: FileDescriptor,
    options: { readonly tlsIdentity: string; readonly ipv6: boolean; readonly inherited?: Listeners },
  ): Listeners {
    if (this.#draining)
      throw new EngineError(
        'ERR_CULVERT_ENGINE_DRAINING',
        `pod ${podId} comes too late: the engine is draining`,
      );
    const { tlsIdentity, ipv6, inherited } = options;
    const given = inherited && [inherited.outbound, inherited.plaintext, inherited.hbone];
    const made = this.#native.addPod(podId, netns, tlsIdentity, ipv6, given);
    if (typeof made === 'number') {
      throw new EngineError('ERR_CULVERT_ENGINE_FAILED', `cannot listen in the namespace of pod ${podId}`, {
        errno: made,
      });
    }
    const [outbound = -1, plaintext = -1, hbone = -1] = made;
    return { outbound, plaintext, hbone };
  }

  removePod(podId: string, drainMs: number): void {
    this.#native.removePod(podId, drainMs);
  }

  setIdentity(identity: TlsIdentity): void {
    const { name, certificateChain, privateKey, roots, trustDomains } = identity;
    const problem = this.#native.setIdentity(name, certificateChain, privateKey, roots, trustDomains);
    if (problem !== undefined)
      throw new EngineError('ERR_CULVERT_ENGINE_ARGUMENT', `identity ${name} is not usable: ${problem}`);
  }

  removeIdentity(name: string): void {
    this.#native.removeIdentity(name);
  }

  setEpoch(epoch: number): void {
    this.#native.setEpoch(epoch);
  }

  decideOutbound(id: ConnectionId, decision: OutboundDecision, reuse?: OutboundReuse): void {
    if (reuse !== undefined) {
      const { ticket, epoch } = reuse;
      const choices = nativeChoices(reuse);
      this.#post(() => this.#native.rememberRoute(id, ticket, epoch, choices));
    }
    switch (decision.kind) {
      case 'tunnel': {
        const tunnel = nativeTunnel(decision);
        this.#post(() => this.#native.decideTunnel(id, ...tunnel));
        return;
      }
      case 'plain':
        checkAddress(decision.to);
        this.#post(() => this.#native.decidePlain(id, decision.to.ip, decision.to.port));
        return;
      case 'direct': {
        const { podId, to, source } = decision;
        checkAddress(to);
        this.#post(() => this.#native.decideDirect(id, podId, to.ip, to.port, source ?? ''));
        return;
      }
      case 'refuse':
        this.#post(() => this.#native.decideRefuse(id, reasonIndex(decision.reason), decision.status ?? 0));
    }
  }

  decideInbound(id: ConnectionId, decision: InboundDecision, reuse?: InboundReuse): void {
    if (decision.kind === 'reject') {
      const { status, reason } = decision;
      this.#post(() => this.#native.decideRefuse(id, reasonIndex(reason), status));
      return;
    }
    const { to, source } = decision;
    checkAddress(to);
    const headers = decision.headers.flat();
    const { ticket, epoch, authority } = reuse ?? { ticket: 0, epoch: 0, authority: '' };
    this.#post(() =>
      this.#native.decideDeliver(id, to.ip, to.port, source ?? '', headers, ticket, epoch, authority),
    );
  }

  closeConnections(ids: readonly ConnectionId[], reason: CloseReason): void {
    for (const id of ids) this.#native.closeConnection(id, reasonIndex(reason));
  }

  async drain(deadlineMs: number): Promise<void> {
    if (this.#closed) return;
    this.#draining = true;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#drained.push(() => resolve(undefined));
    this.#native.drain(deadlineMs);
    await promise;
  }

  stats(): EngineStats {
    return this.#native.stats();
  }

  liveBytes(id: ConnectionId): LiveBytes | undefined {
    const bytes = this.#native.liveBytes(id);
    return bytes === undefined ? undefined : { bytesSent: bytes[0], bytesReceived: bytes[1] };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#waiting = [];
    const rest = this.#native.close();
    if (rest !== undefined) this.#deliver(rest);
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #deliver(batch: Buffer): void {
    const events: EngineEvent[] = [];
    for (const event of decodeEvents(batch)) {
      if (event.kind === 'drained') {
        for (const resolve of this.#drained.splice(0)) resolve();
      } else {
        events.push(event);
      }
    }
    if (events.length > 0) this.#onEvents(events);
  }

  /** Keeps the order: what comes while something waits waits behind it. */
  #post(command: () => boolean): void {
    if (this.#closed) return;
    if (this.#waiting.length === 0 && command()) return;
    this.#waiting.push(command);
    this.#retry ??= setTimeout(() => this.#postWaiting(), retryMs).unref();
  }

  #postWaiting(): void {
    this.#retry = undefined;
    let done = 0;
    while (done < this.#waiting.length && this.#waiting[done]?.() === true) done += 1;
    this.#waiting.splice(0, done);
    if (this.#waiting.length > 0) this.#retry = setTimeout(() => this.#postWaiting(), retryMs).unref();
  }
}

function nativeTunnel(decision: TunnelDecision): NativeTunnel {
  const { via, authority, tlsIdentity, expectedIdentities, headers } = decision;
  checkAddress(via);
  return [via.ip, via.port, authority, tlsIdentity, expectedIdentities, headers.flat()];
}

function nativeChoices({ choices }: OutboundReuse): readonly NativeChoice[] {
  let below = 0;
  return choices.map(({ weight, decision }) => [(below += weight), ...nativeTunnel(decision)] as const);
}

function reasonIndex(reason: CloseReason): number {
  return closeReasons.indexOf(reason);
}

function checkAddress(address: SocketAddress): void {
  if (parseIp(address.ip) !== undefined && address.port > 0 && address.port < 65536) return;
  throw new EngineError(
    'ERR_CULVERT_ENGINE_ARGUMENT',
    `not a socket address: ${address.ip} port ${address.port}`,
  );
}
