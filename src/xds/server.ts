// The controller's end of the control channel: discovery and certificates over TLS on one port.
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { Metadata, Server, status } from '@grpc/grpc-js';
import type { Clock, Timer } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { messageOf } from '../runtime/errors.ts';
import { RateLimitedLog } from '../runtime/logger.ts';
import type { Refusal } from './authentication.ts';
import { certificateHandler } from './certificate-service.ts';
import type { ConnectedClient, DiscoveryCall, StreamContext } from './discovery-stream.ts';
import { DiscoveryStream } from './discovery-stream.ts';
import { XdsError } from './errors.ts';
import type { Gate } from './gate.ts';
import { createGate } from './gate.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from './generated/istio/v1/auth/ca_pb.ts';
import {
  certificateRequest,
  certificateResponse,
  deltaRequest,
  messageBytesMax,
  paths,
} from './grpc-methods.ts';
import { Listener } from './listener.ts';
import type { ServingCertificate } from './serving-credentials.ts';
import { ServingCredentials } from './serving-credentials.ts';
import type { XdsServerStats } from './statistics.ts';
import { emptyStats } from './statistics.ts';
import type { Authenticator, CertificateSigner, ResourceSource } from './types.ts';

export type { ConnectedClient } from './discovery-stream.ts';
export type { ServingCertificate } from './serving-credentials.ts';
export type { XdsServerStats } from './statistics.ts';

export interface XdsServerLimits {
  /** Streams at once, those that are being authenticated included. */
  readonly streamsMax: number;
  readonly streamsPerCallerMax: number;
  /** Names that one stream may ask for, per type. */
  readonly namesMax: number;
  /** Resources in one response, encoded. */
  readonly responseBytesMax: number;
  readonly ackTimeoutMs: number;
  /** After this long a connection is asked to come back, perhaps to another replica. */
  readonly connectionAgeMs: number;
  readonly signingsMax: number;
  /** TCP connections, those that have not shaken hands included. */
  readonly connectionsMax: number;
  readonly connectionsPerSourceMax: number;
}

export interface XdsServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly certificate: ServingCertificate;
  readonly authenticator: Authenticator;
  readonly source: ResourceSource;
  readonly signer: CertificateSigner;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly limits?: Partial<XdsServerLimits>;
  /** Changes within this time are sent together. */
  readonly coalesceMs?: number;
}

const defaultLimits: XdsServerLimits = {
  streamsMax: 4096,
  streamsPerCallerMax: 16,
  namesMax: 100_000,
  responseBytesMax: 128 * 2 ** 20,
  ackTimeoutMs: 120_000,
  connectionAgeMs: 30 * 60_000,
  signingsMax: 64,
  connectionsMax: 8192,
  connectionsPerSourceMax: 1024,
};

export class XdsServer {
  readonly #server: Server;
  readonly #credentials: ServingCredentials;
  readonly #options: XdsServerOptions;
  readonly #limits: XdsServerLimits;
  readonly #context: StreamContext;
  readonly #streams = new Set<DiscoveryStream>();
  readonly #unsubscribe: () => void;
  readonly #gate: Gate;
  #listener: Listener | undefined;
  #pushTimer: Timer | undefined;
  #closed = false;

  private constructor(options: XdsServerOptions) {
    const clock = options.clock ?? systemClock;
    const limits = { ...defaultLimits, ...options.limits };
    this.#options = options;
    this.#limits = limits;
    this.#credentials = new ServingCredentials(options.certificate);
    this.#context = {
      source: options.source,
      limits: {
        namesMax: limits.namesMax,
        bytesMax: limits.responseBytesMax,
        ackTimeoutMs: limits.ackTimeoutMs,
      },
      stats: emptyStats(),
      clock,
      logger: options.logger,
      rateLimit: new RateLimitedLog({ clock }),
    };
    this.#gate = createGate({
      authenticator: options.authenticator,
      pendingMax: limits.streamsMax,
      overloaded: () => (this.#context.stats.refusedLimit += 1),
      refused: (peer, reason) => this.#reportRefusal(peer, reason),
    });
    this.#server = this.#createServer();
    this.#unsubscribe = options.source.subscribe(() => this.#schedulePush());
  }

  /** Listens. Throws ERR_CULVERT_XDS_LISTEN. */
  static async start(options: XdsServerOptions): Promise<XdsServer> {
    const server = new XdsServer(options);
    await server.#listen();
    return server;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** A copy of the counters. */
  stats(): XdsServerStats {
    return { ...this.#context.stats, streams: this.#streams.size };
  }

  clients(): readonly ConnectedClient[] {
    return [...this.#streams].map((stream) => stream.describe());
  }

  /** Presents another certificate on connections from now on. */
  setCertificate(certificate: ServingCertificate): void {
    this.#credentials.replace(certificate);
  }

  /** Ends every stream so that clients go elsewhere, and stops listening. Idempotent. */
  async close(graceMs = 1_000): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    this.#listener?.close();
    this.#pushTimer?.cancel();
    for (const stream of [...this.#streams])
      stream.end({ code: status.UNAVAILABLE, details: 'the server is shutting down' });
    await new Promise<void>((resolve) => {
      const force = this.#context.clock.after(graceMs, () => this.#server.forceShutdown());
      this.#server.tryShutdown(() => {
        force.cancel();
        resolve();
      });
    });
  }

  #createServer(): Server {
    const server = new Server({
      'grpc.max_receive_message_length': messageBytesMax.toServer,
      'grpc.max_send_message_length': messageBytesMax.toClient,
      'grpc.max_concurrent_streams': 128,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.max_connection_idle_ms': 300_000,
      'grpc.max_connection_age_ms': this.#limits.connectionAgeMs,
      'grpc.max_connection_age_grace_ms': 5_000,
      'grpc.enable_channelz': 0,
      interceptors: [this.#gate.interceptor],
    });
    server.register(
      paths.delta,
      (call: DiscoveryCall) => void this.#open(call),
      (bytes: Buffer) => bytes,
      deltaRequest.deserialize,
      'bidi',
    );
    const sign = certificateHandler({
      authenticationOf: (metadata) => this.#gate.authenticationOf(metadata),
      signer: this.#options.signer,
      stats: this.#context.stats,
      logger: this.#context.logger,
      rateLimit: this.#context.rateLimit,
      concurrencyMax: this.#limits.signingsMax,
    });
    server.register(
      paths.createCertificate,
      (
        call: ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>,
        reply: sendUnaryData<IstioCertificateResponse>,
      ) => sign(call, reply),
      certificateResponse.serialize,
      certificateRequest.deserialize,
      'unary',
    );
    return server;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    const { connectionsMax, connectionsPerSourceMax } = this.#limits;
    const injector = this.#server.createConnectionInjector(this.#credentials);
    try {
      this.#listener = await Listener.start({
        host,
        port,
        connectionsMax,
        connectionsPerSourceMax,
        accepted: (socket) => injector.injectConnection(socket),
        refused: (source) => this.#reportCrowd(source),
      });
    } catch (error) {
      this.#unsubscribe();
      const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const message = `the control channel cannot listen on ${address}: ${messageOf(error)}`;
      throw new XdsError('ERR_CULVERT_XDS_LISTEN', message, { cause: error });
    }
  }

  /** Never rejects. */
  async #open(call: DiscoveryCall): Promise<void> {
    let gone = false;
    // Without a listener an error of the call would end the process.
    call.on('error', () => (gone = true));
    call.on('cancelled', () => (gone = true));
    if (this.#closed)
      return refuse(call, { code: status.UNAVAILABLE, details: 'the server is shutting down' });
    if (this.#streams.size >= this.#limits.streamsMax) return this.#refuseLimit(call, 'streams');
    const authentication = await this.#gate.authenticationOf(call.metadata);
    if (gone || this.#closed) return;
    if (authentication.kind === 'refused') return refuse(call, authentication.refusal);
    const { caller } = authentication;
    const own = [...this.#streams].filter((stream) => stream.caller.name === caller.name);
    if (own.length >= this.#limits.streamsPerCallerMax)
      return this.#refuseLimit(call, `streams of ${caller.name}`);
    this.#context.stats.streamsOpened += 1;
    call.sendMetadata(new Metadata());
    const stream = new DiscoveryStream(call, caller, this.#context, () => this.#streams.delete(stream));
    this.#streams.add(stream);
  }

  #refuseLimit(call: DiscoveryCall, what: string): void {
    this.#context.stats.refusedLimit += 1;
    refuse(call, { code: status.RESOURCE_EXHAUSTED, details: `too many ${what}` });
  }

  #reportRefusal(peer: string, reason: string): void {
    this.#context.stats.refusedCredentials += 1;
    this.#context.rateLimit.try('refused', (suppressed) =>
      this.#context.logger.warn('a client was refused', { peer, reason, suppressed }),
    );
  }

  #reportCrowd(source: string): void {
    this.#context.stats.refusedLimit += 1;
    this.#context.rateLimit.try('crowd', (suppressed) =>
      this.#context.logger.warn('too many connections', { source, suppressed }),
    );
  }

  #schedulePush(): void {
    if (this.#closed) return;
    this.#pushTimer ??= this.#context.clock.after(this.#options.coalesceMs ?? 20, () => {
      this.#pushTimer = undefined;
      void this.#pushAll();
    });
  }

  /** One stream per turn of the event loop: acknowledgements and new streams are not kept waiting. */
  async #pushAll(): Promise<void> {
    for (const stream of [...this.#streams]) {
      stream.push();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function refuse(call: DiscoveryCall, refusal: Refusal): void {
  call.emit('error', Object.assign(new Error(refusal.details), refusal));
}
