// A node's end of the control channel: one stream, for as long as the process lives. What was received outlives the
// stream; a new one is told what is held and is sent only the rest.
import type { Client, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { connectivityState, status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { Backoff } from '../runtime/backoff.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { RateLimitedLog } from '../runtime/logger.ts';
import type { ChannelOptions } from './channel.ts';
import { callMetadata, openChannel } from './channel.ts';
import type { InvalidResource } from './decoded.ts';
import { describeProblem } from './decoded.ts';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import { DeltaDiscoveryRequestSchema } from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import { deltaRequest, deltaResponse, paths } from './grpc-methods.ts';
import { HeldResources } from './held-resources.ts';
import type { NodeDescription } from './node.ts';
import { describeNode } from './node.ts';
import { receiveAddresses, receivePods, receivePolicies } from './received.ts';
import type { AddressUpdate, PodUpdate, PolicyUpdate, TypeUrl } from './types.ts';
import { typeUrls } from './types.ts';

export type { ChannelOptions } from './channel.ts';
export type { NodeDescription } from './node.ts';

/** Called in the order in which responses arrive. Each must not throw; if it does, the response is rejected. */
export interface XdsHandlers {
  onAddress(update: AddressUpdate): void;
  onPolicy(update: PolicyUpdate): void;
  onPods(update: PodUpdate): void;
  /** Once, when the first response of each type was applied. Resources that were rejected in it do not hold it up. */
  onSynced(): void;
}

export interface XdsClientOptions extends ChannelOptions {
  readonly node: NodeDescription;
  readonly handlers: XdsHandlers;
  /** Ask for culvert.node.Pod as well: false towards a control plane that does not have it. */
  readonly podSettings?: boolean;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly backoffMs?: { readonly min: number; readonly max: number };
  readonly connectTimeoutMs?: number;
}

export interface XdsClientStatus {
  readonly state: 'idle' | 'connecting' | 'connected' | 'waiting' | 'closed';
  /** Since when the current stream is open. */
  readonly connectedSinceMs?: number;
  readonly lastError?: string;
  /** The first response of every type was applied, perhaps long ago. */
  readonly synced: boolean;
  readonly lastUpdateMs?: number;
  readonly streamsOpened: number;
  readonly responses: number;
  readonly nacks: number;
  readonly resources: { readonly addresses: number; readonly policies: number; readonly pods: number };
  /** What was rejected and has not been replaced since, bounded. */
  readonly rejected: readonly (InvalidResource & { readonly typeUrl: string })[];
}

type State = XdsClientStatus['state'];
type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** After the connection stands. */
const answerTimeoutMs = 60_000;

/** A stream that lasted this long worked: the next one is tried at once. */
const steadyMs = 5_000;

const rejectedMax = 256;
const namedInRejectionMax = 20;

export class XdsClient {
  readonly #options: XdsClientOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #rateLimit: RateLimitedLog;
  readonly #types: readonly TypeUrl[];
  readonly #held = new HeldResources();
  readonly #awaited: Set<TypeUrl>;
  readonly #rejected = new Map<string, InvalidResource & { readonly typeUrl: string }>();
  #state: State = 'idle';
  #client: Client | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #connectedSinceMs: number | undefined;
  /** The same on the monotonic clock. */
  #steadySinceMs: number | undefined;
  #lastError: string | undefined;
  #lastUpdateMs: number | undefined;
  #synced = false;
  #streamsOpened = 0;
  #responses = 0;
  #nacks = 0;

  constructor(options: XdsClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { min, max } = options.backoffMs ?? { min: 10, max: 15_000 };
    const { random } = options;
    this.#backoff = new Backoff({ minMs: min, maxMs: max, ...(random !== undefined && { random }) });
    this.#rateLimit = new RateLimitedLog({ clock: this.#clock });
    const types: TypeUrl[] = [typeUrls.address, typeUrls.authorization];
    if (options.podSettings !== false) types.push(typeUrls.pod);
    this.#types = types;
    this.#awaited = new Set(types);
  }

  /** Connects, and keeps connected until `close`. */
  start(): void {
    if (this.#state === 'idle') void this.#connect();
  }

  status(): XdsClientStatus {
    return {
      state: this.#state,
      ...(this.#connectedSinceMs !== undefined && { connectedSinceMs: this.#connectedSinceMs }),
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      synced: this.#synced,
      ...(this.#lastUpdateMs !== undefined && { lastUpdateMs: this.#lastUpdateMs }),
      streamsOpened: this.#streamsOpened,
      responses: this.#responses,
      nacks: this.#nacks,
      resources: {
        addresses: this.#held.count(typeUrls.address),
        policies: this.#held.count(typeUrls.authorization),
        pods: this.#held.count(typeUrls.pod),
      },
      rejected: [...this.#rejected.values()],
    };
  }

  /** Ends the stream and comes back no more. Idempotent. */
  close(): void {
    if (!this.#transition(['idle', 'connecting', 'connected', 'waiting'], 'closed')) return;
    this.#timer?.cancel();
    this.#release();
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    if (!this.#transition(['idle', 'waiting'], 'connecting')) return;
    try {
      const metadata = await callMetadata(this.#options);
      const client = await openChannel(this.#options);
      if (this.#state !== 'connecting') return client.close();
      this.#client = client;
      this.#timer = this.#clock.after(this.#options.connectTimeoutMs ?? 10_000, () =>
        this.#giveUpConnecting(),
      );
      this.#open(
        client.makeBidiStreamRequest(
          paths.delta,
          deltaRequest.serialize,
          deltaResponse.deserialize,
          metadata,
        ),
      );
    } catch (error) {
      this.#lose(messageOf(error));
    }
  }

  #open(stream: Stream): void {
    this.#stream = stream;
    const current = (act: () => void) => (): void => {
      if (this.#stream === stream) act();
    };
    stream.on(
      'metadata',
      current(() => this.#connected()),
    );
    stream.on('data', (response: DeltaDiscoveryResponse) => current(() => this.#receive(response))());
    stream.on('error', (error: ServiceError) =>
      current(() => this.#lose(`${status[error.code]}: ${error.details}`))(),
    );
    stream.on(
      'end',
      current(() => this.#lose('the server ended the stream')),
    );
    const node = describeNode(this.#options.node);
    for (const typeUrl of this.#types) {
      const initialResourceVersions = this.#held.versions(typeUrl);
      stream.write(create(DeltaDiscoveryRequestSchema, { node, typeUrl, initialResourceVersions }));
    }
  }

  #connected(): void {
    if (!this.#transition(['connecting'], 'connected')) return;
    this.#timer?.cancel();
    this.#streamsOpened += 1;
    this.#connectedSinceMs = this.#clock.now();
    this.#steadySinceMs = this.#clock.monotonic();
    this.#options.logger.info('connected to the controller', { address: this.#options.address });
  }

  /** A server may take its time to answer, less to accept a connection. */
  #giveUpConnecting(): void {
    const ready = this.#client?.getChannel().getConnectivityState(false) === connectivityState.READY;
    if (!ready) return this.#lose('no connection in time');
    this.#timer = this.#clock.after(answerTimeoutMs, () => this.#lose('no answer in time'));
  }

  #receive(response: DeltaDiscoveryResponse): void {
    this.#connected();
    this.#responses += 1;
    const typeUrl = this.#types.find((known) => known === response.typeUrl);
    if (typeUrl === undefined) return this.#answer(response, [`${response.typeUrl} was not asked for`]);
    let problems: readonly InvalidResource[];
    try {
      problems = this.#apply(typeUrl, response);
    } catch (error) {
      this.#lastError = `an update could not be applied: ${messageOf(error)}`;
      this.#options.logger.error('an update could not be applied', {
        type: typeUrl,
        error: messageOf(error),
      });
      return this.#answer(response, [`the update could not be applied: ${messageOf(error)}`]);
    }
    this.#held.apply(typeUrl, response, problems);
    this.#lastUpdateMs = this.#clock.now();
    this.#noteProblems(typeUrl, response, problems);
    this.#answer(response, problems.map(describeProblem));
    this.#noteSynced(typeUrl);
  }

  /** Hands the good resources over and returns the bad ones. */
  #apply(typeUrl: TypeUrl, response: DeltaDiscoveryResponse): readonly InvalidResource[] {
    const { handlers } = this.#options;
    switch (typeUrl) {
      case typeUrls.authorization: {
        const { update, problems } = receivePolicies(response);
        handlers.onPolicy(update);
        return problems;
      }
      case typeUrls.pod: {
        const { update, problems } = receivePods(response);
        handlers.onPods(update);
        return problems;
      }
      default: {
        const { update, problems } = receiveAddresses(response);
        handlers.onAddress(update);
        return problems;
      }
    }
  }

  /** ACK, or NACK that names what is wrong. */
  #answer(response: DeltaDiscoveryResponse, complaints: readonly string[]): void {
    const { typeUrl, nonce: responseNonce } = response;
    if (complaints.length > 0) this.#nacks += 1;
    const more = complaints.length - namedInRejectionMax;
    const named = complaints.slice(0, namedInRejectionMax).join('; ');
    const message = more > 0 ? `${named}; and ${more} more` : named;
    this.#stream?.write(
      create(DeltaDiscoveryRequestSchema, {
        typeUrl,
        responseNonce,
        ...(complaints.length > 0 && { errorDetail: { code: status.INVALID_ARGUMENT, message } }),
      }),
    );
  }

  #noteProblems(
    typeUrl: TypeUrl,
    response: DeltaDiscoveryResponse,
    problems: readonly InvalidResource[],
  ): void {
    for (const { name } of response.resources) this.#rejected.delete(`${typeUrl} ${name}`);
    for (const name of response.removedResources) this.#rejected.delete(`${typeUrl} ${name}`);
    for (const problem of problems) {
      if (this.#rejected.size < rejectedMax)
        this.#rejected.set(`${typeUrl} ${problem.name}`, { ...problem, typeUrl });
      this.#rateLimit.try(`rejected ${typeUrl} ${problem.name}`, (suppressed) =>
        this.#options.logger.warn('a resource was rejected', { type: typeUrl, ...problem, suppressed }),
      );
    }
  }

  #noteSynced(typeUrl: TypeUrl): void {
    this.#awaited.delete(typeUrl);
    if (this.#synced || this.#awaited.size > 0) return;
    this.#synced = true;
    this.#options.handlers.onSynced();
  }

  #lose(reason: string): void {
    if (!this.#transition(['connecting', 'connected'], 'waiting')) return;
    // A stream that ends as soon as it is open is no success.
    const since = this.#steadySinceMs;
    if (since !== undefined && this.#clock.monotonic() - since >= steadyMs) this.#backoff.reset();
    this.#release();
    this.#lastError = reason;
    const delayMs = this.#backoff.next();
    this.#timer = this.#clock.after(delayMs, () => void this.#connect());
    this.#rateLimit.try('lost', (suppressed) =>
      this.#options.logger.warn('no connection to the controller; the last known mesh stays in force', {
        address: this.#options.address,
        reason,
        retryMs: Math.round(delayMs),
        suppressed,
      }),
    );
  }

  #release(): void {
    const stream = this.#stream;
    const client = this.#client;
    this.#stream = undefined;
    this.#client = undefined;
    this.#connectedSinceMs = undefined;
    this.#steadySinceMs = undefined;
    this.#timer?.cancel();
    stream?.cancel();
    client?.close();
  }

  #transition(from: readonly State[], to: State): boolean {
    if (!from.includes(this.#state)) return false;
    this.#state = to;
    return true;
  }
}
