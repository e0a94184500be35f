// An engine in this process's own network namespace with pods on loopback, and the few decisions a test makes.
// Without capture the listeners are dialled at their own ports, which /proc knows.
import { open } from 'node:fs/promises';
import net from 'node:net';
import { once } from 'node:events';
import { defaultEngineOptions, startEngine } from '../../src/engine/engine.ts';
import type {
  ClosedEvent,
  ConnectEvent,
  Engine,
  EngineEvent,
  EngineLimits,
  EngineTimeouts,
  InboundDecision,
  Listeners,
  OutboundDecision,
  OutboundEvent,
  PlaintextEvent,
} from '../../src/engine/types.ts';
import { ip, type SocketAddress } from '../../src/mesh/address.ts';
import { TestAuthority, type TestLeaf } from './certificates.ts';
import { portOfDescriptor } from './descriptor-port.ts';

export const clientId = 'spiffe://cluster.local/ns/shop/sa/client';
export const serverId = 'spiffe://cluster.local/ns/shop/sa/server';
export const loopback = ip('127.0.0.1');

export interface NodeOptions {
  readonly threads?: number;
  readonly limits?: Partial<EngineLimits>;
  readonly timeouts?: Partial<EngineTimeouts>;
}

export class EngineNode {
  readonly engine: Engine;
  readonly authority: TestAuthority;
  readonly events: EngineEvent[] = [];
  /** Called once per captured connection; undefined leaves it undecided. */
  onOutbound: (event: OutboundEvent) => OutboundDecision | undefined = () => undefined;
  onPlaintext: (event: PlaintextEvent) => InboundDecision | undefined = () => undefined;
  onConnect: (event: ConnectEvent) => InboundDecision | undefined = deliverToAuthority;
  #watchers = new Set<() => void>();

  private constructor(authority: TestAuthority, options: NodeOptions) {
    this.authority = authority;
    this.engine = startEngine(
      {
        ...defaultEngineOptions,
        threads: options.threads ?? 2,
        limits: { ...defaultEngineOptions.limits, ...options.limits },
        timeouts: { ...defaultEngineOptions.timeouts, ...options.timeouts },
      },
      (events) => this.#take(events),
    );
  }

  static async start(options: NodeOptions = {}, authority?: TestAuthority): Promise<EngineNode> {
    const node = new EngineNode(authority ?? (await TestAuthority.create()), options);
    await node.renew(clientId);
    await node.renew(serverId);
    return node;
  }

  /** Gives the engine a fresh certificate for `name`. */
  async renew(name: string): Promise<TestLeaf> {
    const leaf = await this.authority.issue(name);
    this.setIdentity(name, leaf);
    return leaf;
  }

  setIdentity(name: string, leaf: TestLeaf): void {
    this.engine.setIdentity({
      name,
      certificateChain: leaf.chainPem,
      privateKey: leaf.keyPem,
      roots: this.authority.rootPem,
      trustDomains: ['cluster.local'],
    });
  }

  /** Adds a pod in this namespace; resolves with its listeners' addresses. */
  async addPod(podId: string, tlsIdentity: string): Promise<PodAddresses> {
    const netns = await open('/proc/self/ns/net', 'r');
    try {
      return addressesOf(this.engine.addPod(podId, netns.fd, { tlsIdentity, ipv6: true }));
    } finally {
      await netns.close();
    }
  }

  /** The first event of a kind, of those seen and to come, that `matches`. */
  async event<K extends EngineEvent['kind']>(
    kind: K,
    matches: (event: Extract<EngineEvent, { kind: K }>) => boolean = () => true,
    ms = 15_000,
  ): Promise<Extract<EngineEvent, { kind: K }>> {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = this.of(kind).find(matches);
      if (found !== undefined) return found;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no such ${kind} among ${JSON.stringify(this.events.slice(-20))}`);
      await this.#change(left);
    }
  }

  async closed(count: number, ms = 15_000): Promise<ClosedEvent[]> {
    const deadline = Date.now() + ms;
    for (;;) {
      const closed = this.events.filter((event) => event.kind === 'closed');
      if (closed.length >= count) return closed;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${closed.length} of ${count} closed`);
      await this.#change(left);
    }
  }

  of<K extends EngineEvent['kind']>(kind: K): Extract<EngineEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<EngineEvent, { kind: K }> => event.kind === kind);
  }

  close(): void {
    this.engine.close();
  }

  async #change(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#watchers.add(done);
    });
  }

  #take(events: readonly EngineEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      if (event.kind === 'outbound') {
        const decision = this.onOutbound(event);
        if (decision !== undefined) this.engine.decideOutbound(event.id, decision);
      } else if (event.kind === 'plaintext' || event.kind === 'connect') {
        const decision = event.kind === 'plaintext' ? this.onPlaintext(event) : this.onConnect(event);
        if (decision !== undefined) this.engine.decideInbound(event.id, decision);
      }
    }
    for (const watcher of this.#watchers) watcher();
  }
}

export interface PodAddresses {
  readonly outbound: SocketAddress;
  readonly plaintext: SocketAddress;
  readonly hbone: SocketAddress;
}

/** What a policy that allows everything answers to CONNECT. */
export function deliverToAuthority(event: ConnectEvent): InboundDecision {
  const port = Number(event.authority.split(':').at(-1));
  return { kind: 'deliver', to: { ip: loopback, port }, headers: [] };
}

/** A tunnel from the client's pod to `via`, towards an application on `port`. */
export function tunnelTo(via: SocketAddress, port: number, expected = serverId): OutboundDecision {
  return {
    kind: 'tunnel',
    via,
    authority: `127.0.0.1:${port}`,
    tlsIdentity: clientId,
    expectedIdentities: [expected],
    headers: [['baggage', 'k8s.namespace.name=shop']],
  };
}

/** A TCP server on an ephemeral loopback port, as the application of a pod. */
export class Application {
  readonly server: net.Server;
  readonly sockets = new Set<net.Socket>();
  port = 0;

  private constructor(server: net.Server) {
    this.server = server;
  }

  static async listen(onConnection: (socket: net.Socket) => void): Promise<Application> {
    const application = new Application(net.createServer({ allowHalfOpen: true }));
    application.server.on('connection', (socket) => {
      application.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => application.sockets.delete(socket));
      onConnection(socket);
    });
    application.server.listen(0, '127.0.0.1');
    await once(application.server, 'listening');
    application.port = (application.server.address() as net.AddressInfo).port;
    return application;
  }

  static echo(): Promise<Application> {
    return Application.listen((socket) => socket.pipe(socket));
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** Connects with half-close allowed; resolves when the socket is connected or has failed, see `fate`. */
export async function dial(to: SocketAddress): Promise<net.Socket> {
  const socket = net.connect({ host: to.ip, port: to.port, allowHalfOpen: true });
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
    socket.on('error', () => resolve());
  });
  return socket;
}

/** Everything until the peer's end; throws what the socket throws. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The code of the error a socket dies of, or `end` if it ends well. */
export async function fate(socket: net.Socket): Promise<string> {
  if (socket.errored !== null) return codeOf(socket.errored);
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('error', (error) => resolve(codeOf(error)));
  socket.on('end', () => resolve('end'));
  socket.resume();
  return await promise;
}

/** Tries until `check` passes, for at most ten seconds; then fails as it failed last. */
export async function holds(check: () => void | Promise<void>): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}

function addressesOf(listeners: Listeners): PodAddresses {
  const at = (fd: number): SocketAddress => ({ ip: loopback, port: portOfDescriptor(fd) });
  return { outbound: at(listeners.outbound), plaintext: at(listeners.plaintext), hbone: at(listeners.hbone) };
}
