// An engine without sockets: a test raises its events and reads what it was told.
import type {
  CloseReason,
  ConnectionId,
  Engine,
  EngineEvent,
  EngineEventHandler,
  EngineStats,
  InboundDecision,
  InboundReuse,
  Listeners,
  LiveBytes,
  OutboundDecision,
  OutboundReuse,
  TlsIdentity,
} from '../../src/engine/types.ts';

export class FakeEngine implements Engine {
  readonly pods = new Map<string, { readonly tlsIdentity: string; readonly ipv6: boolean }>();
  readonly identities = new Map<string, TlsIdentity>();
  readonly outbound = new Map<ConnectionId, OutboundDecision>();
  readonly inbound = new Map<ConnectionId, InboundDecision>();
  readonly outboundReuse = new Map<ConnectionId, OutboundReuse>();
  readonly inboundReuse = new Map<ConnectionId, InboundReuse>();
  epoch = 0;
  readonly closeRequests: { readonly ids: readonly ConnectionId[]; readonly reason: CloseReason }[] = [];
  readonly removals: { readonly podId: string; readonly drainMs: number }[] = [];
  readonly bytes = new Map<ConnectionId, LiveBytes>();
  drained: number | undefined;
  closed = false;
  failAddPod: Error | undefined;
  #handler: EngineEventHandler = () => undefined;

  /** What `Ztunnel.start` takes. */
  readonly create = (handler: EngineEventHandler): FakeEngine => {
    this.#handler = handler;
    return this;
  };

  raise(...events: readonly EngineEvent[]): void {
    this.#handler(events);
  }

  addPod(podId: string, _netns: number, options: { tlsIdentity: string; ipv6: boolean }): Listeners {
    if (this.failAddPod !== undefined) throw this.failAddPod;
    this.pods.set(podId, options);
    return { outbound: 101, plaintext: 102, hbone: 103 };
  }

  removePod(podId: string, drainMs: number): void {
    this.pods.delete(podId);
    this.removals.push({ podId, drainMs });
  }

  setIdentity(identity: TlsIdentity): void {
    this.identities.set(identity.name, identity);
  }

  removeIdentity(name: string): void {
    this.identities.delete(name);
  }

  decideOutbound(id: ConnectionId, decision: OutboundDecision, reuse?: OutboundReuse): void {
    this.outbound.set(id, decision);
    if (reuse !== undefined) this.outboundReuse.set(id, reuse);
  }

  decideInbound(id: ConnectionId, decision: InboundDecision, reuse?: InboundReuse): void {
    this.inbound.set(id, decision);
    if (reuse !== undefined) this.inboundReuse.set(id, reuse);
  }

  setEpoch(epoch: number): void {
    this.epoch = epoch;
  }

  closeConnections(ids: readonly ConnectionId[], reason: CloseReason): void {
    this.closeRequests.push({ ids, reason });
  }

  drain(deadlineMs: number): Promise<void> {
    this.drained = deadlineMs;
    return Promise.resolve();
  }

  stats(): EngineStats {
    return {
      connections: 0,
      undecided: 0,
      tunnelsInbound: 0,
      tunnelsOutbound: 0,
      bufferedBytes: 0,
      descriptorsMax: 1024,
      rememberedChoices: 0,
      counters: {},
    };
  }

  liveBytes(id: ConnectionId): LiveBytes | undefined {
    return this.bytes.get(id);
  }

  close(): void {
    this.closed = true;
  }
}
