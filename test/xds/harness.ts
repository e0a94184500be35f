// A real server on an ephemeral port over TLS, with resources and callers that a test changes.
import { silentLogger } from '../../src/runtime/logger.ts';
import type { XdsClientOptions, XdsHandlers } from '../../src/xds/client.ts';
import { XdsClient } from '../../src/xds/client.ts';
import type { XdsServerOptions } from '../../src/xds/server.ts';
import { XdsServer } from '../../src/xds/server.ts';
import type {
  AddressUpdate,
  Authenticator,
  Caller,
  CertificateSigner,
  PodUpdate,
  PolicyUpdate,
  ResourceSource,
  ServedResource,
  TypeUrl,
} from '../../src/xds/types.ts';
import { ip } from '../../src/mesh/address.ts';
import type { TestLeaf } from '../support/certificates.ts';
import { TestAuthority } from '../support/certificates.ts';

export const ztunnelOne: Caller = {
  namespace: 'culvert-system',
  serviceAccount: 'ztunnel',
  node: 'node1',
  name: 'culvert-system/ztunnel@node1',
};

/** Resources by type that a test sets. */
export class TestSource implements ResourceSource {
  ready = true;
  readonly #types = new Map<TypeUrl, ReadonlyMap<string, ServedResource>>();
  readonly #listeners = new Set<() => void>();

  resources(type: TypeUrl): ReadonlyMap<string, ServedResource> {
    return this.#types.get(type) ?? none;
  }

  set(type: TypeUrl, resources: readonly ServedResource[]): void {
    this.#types.set(type, new Map(resources.map((resource) => [resource.name, resource])));
    this.changed();
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const none: ReadonlyMap<string, ServedResource> = new Map();

export class TestCallers implements Authenticator {
  readonly callers = new Map<string, Caller>([['good-token', ztunnelOne]]);

  authenticate(token: string): Promise<Caller | undefined> {
    return Promise.resolve(this.callers.get(token));
  }
}

/** What a client was told, in order. */
export class Recorder implements XdsHandlers {
  readonly addresses: AddressUpdate[] = [];
  readonly policies: PolicyUpdate[] = [];
  readonly pods: PodUpdate[] = [];
  synced = 0;

  onAddress(update: AddressUpdate): void {
    this.addresses.push(update);
  }

  onPolicy(update: PolicyUpdate): void {
    this.policies.push(update);
  }

  onPods(update: PodUpdate): void {
    this.pods.push(update);
  }

  onSynced(): void {
    this.synced += 1;
  }
}

export class Harness {
  readonly authority: TestAuthority;
  readonly leaf: TestLeaf;
  readonly source = new TestSource();
  readonly callers = new TestCallers();
  readonly #closers: (() => void | Promise<void>)[] = [];
  #server: XdsServer | undefined;

  private constructor(authority: TestAuthority, leaf: TestLeaf) {
    this.authority = authority;
    this.leaf = leaf;
  }

  static async create(): Promise<Harness> {
    const authority = await TestAuthority.create();
    return new Harness(
      authority,
      await authority.issue('', { ips: [ip('127.0.0.1')], dnsNames: ['controller'] }),
    );
  }

  async serve(options: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
    const server = await XdsServer.start({
      host: '127.0.0.1',
      port: 0,
      certificate: { chainPem: this.leaf.chainPem, keyPem: this.leaf.keyPem },
      authenticator: this.callers,
      source: this.source,
      signer: refusingSigner,
      logger: silentLogger,
      coalesceMs: 1,
      ...options,
    });
    this.#server = server;
    this.#closers.push(() => server.close());
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#server?.port ?? 0}`;
  }

  connect(options: Partial<XdsClientOptions> = {}): {
    readonly client: XdsClient;
    readonly recorder: Recorder;
  } {
    const recorder = new Recorder();
    const client = new XdsClient({
      address: this.address,
      roots: () => this.authority.rootPem,
      token: () => 'good-token',
      node: { kind: 'ztunnel', podName: 'ztunnel-1', namespace: 'culvert-system', nodeName: 'node1' },
      handlers: recorder,
      logger: silentLogger,
      backoffMs: { min: 5, max: 50 },
      ...options,
    });
    this.#closers.push(() => client.close());
    client.start();
    return { client, recorder };
  }

  /** Closes whatever `serve` and `connect` opened, newest first. */
  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }

  onClose(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }
}

const refusingSigner: CertificateSigner = {
  sign: () => Promise.reject(new Error('no signer in this test')),
};

/** Polls until the condition holds. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true in time`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
