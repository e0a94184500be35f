// The control plane of one mesh: a source of objects, what is made of them, and who it is served to.
import type { IpAddress } from '../mesh/address.ts';
import { parseIp } from '../mesh/address.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ConnectedClient, XdsServerLimits, XdsServerStats } from '../xds/server.ts';
import { XdsServer } from '../xds/server.ts';
import type { Authenticator } from '../xds/types.ts';
import { CertificateAuthority } from './ca/authority.ts';
import { PodIdentitySigner } from './ca/signer.ts';
import type { ObjectSet } from './objects/object-set.ts';
import type { Problem } from './problem.ts';
import { ProblemLog } from './problem-log.ts';
import { Publisher } from './publisher.ts';
import { ServingCertificate } from './serving-certificate.ts';
import { DirectorySource } from './sources/directory/directory-source.ts';
import type { Source } from './sources/source.ts';
import type { MeshSettings, Translation } from './translate/settings.ts';
import { translate } from './translate/translate.ts';

export { adminRoutes } from './admin-routes.ts';

/** Told of each step, for metrics. */
export interface ControllerObserver {
  published?(step: {
    /** Resources that were encoded anew, and that are gone. */
    readonly changed: number;
    readonly removed: number;
    /** From objects to encoded resources. */
    readonly durationMs: number;
    /** Problems of the manifests in force, by severity. */
    readonly errors: number;
    readonly warnings: number;
  }): void;
  /** PEM of the roots that are trusted from now on. */
  rootsChanged?(roots: string): void;
}

export interface ControllerOptions {
  readonly source: {
    readonly directory: string;
    readonly quietMs?: number;
    readonly quietMsMax?: number;
    readonly pollMs?: number;
  };
  readonly mesh: MeshSettings;
  /** Host `*`: every address. Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly authority: {
    readonly directory: string;
    readonly rootValidityMs?: number;
    readonly backdateMs?: number;
  };
  /** Bounds of what is served. */
  readonly limits?: Partial<XdsServerLimits>;
  /** DNS names and addresses in the server's own certificate. */
  readonly serving: { readonly names: readonly string[]; readonly validityMs?: number };
  /** `namespace/serviceAccount` of those who may have the certificates of the pods on their node:
   *  `<root namespace>/ztunnel` by default. */
  readonly nodeAccounts?: readonly string[];
  /** Longest validity of a certificate that is issued to a workload. */
  readonly certificateMsMax?: number;
  readonly authenticator: Authenticator;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly observer?: ControllerObserver;
}

/** Time between two looks at the file of roots. */
const rootsIntervalMs = 10_000;

/** Changes of the source within this time are translated together. */
const coalesceMs = 5;

interface Parts {
  readonly source: Source;
  readonly publisher: Publisher;
  readonly authority: CertificateAuthority;
  readonly serving: ServingCertificate;
  readonly server: XdsServer;
}

export class Controller {
  readonly startedMs: number;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #parts: Parts;
  readonly #problemLog: ProblemLog;
  readonly #unsubscribe: () => void;
  #problems: readonly Problem[] = [];
  #timer: Timer | undefined;
  #rootsTimer: Timer | undefined;
  #closed = false;

  private constructor(options: ControllerOptions, parts: Parts) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#parts = parts;
    this.#problemLog = new ProblemLog(options.logger.child('manifests'));
    this.startedMs = this.#clock.now();
    this.#unsubscribe = parts.source.subscribe(() => {
      this.#timer ??= this.#clock.after(coalesceMs, () => {
        this.#timer = undefined;
        this.#publish();
      });
    });
    this.#publish();
    this.#watchRoots();
  }

  /** Reads the manifests, opens the CA and serves. Rejects with ERR_CULVERT_CONTROLLER_SOURCE if there is no directory
   *  of manifests, with ERR_CULVERT_XDS_LISTEN if the address is taken, or with what the CA's files are wrong in;
   *  what was opened until then is closed. Mistakes in manifests are no reason not to start: see `problems`. */
  static async start(options: ControllerOptions): Promise<Controller> {
    const { logger, mesh, clock = systemClock } = options;
    const opened: (() => unknown)[] = [];
    try {
      const source = await DirectorySource.open({ ...options.source, clock, logger: logger.child('source') });
      opened.push(() => source.close());
      const authority = await CertificateAuthority.open({
        ...options.authority,
        trustDomain: mesh.trustDomain,
        clock,
        logger: logger.child('ca'),
      });
      const publisher = new Publisher();
      const serving = await ServingCertificate.start({
        issue: () => authority.issueServing(servingNames(options.serving)),
        clock,
        logger: logger.child('ca'),
      });
      opened.push(() => serving.close());
      const server = await XdsServer.start({
        host: options.listen.host === '*' ? '::' : options.listen.host,
        port: options.listen.port,
        certificate: serving.first,
        authenticator: options.authenticator,
        ...(options.limits !== undefined && { limits: options.limits }),
        source: publisher,
        signer: new PodIdentitySigner({
          authority,
          trustDomain: mesh.trustDomain,
          identitiesOnNode: (node) => publisher.identitiesOnNode(node),
          nodeAccounts: new Set(options.nodeAccounts ?? [`${mesh.rootNamespace}/ztunnel`]),
          ...(options.certificateMsMax === undefined ? {} : { validityMsMax: options.certificateMsMax }),
        }),
        logger: logger.child('xds'),
        clock,
      });
      serving.onRenewed((material) => server.setCertificate(material));
      return new Controller(options, { source, publisher, authority, serving, server });
    } catch (error) {
      for (const close of opened.reverse()) close();
      throw error;
    }
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#options.listen.host, port: this.#parts.server.port };
  }

  /** True once a complete mesh is served. */
  ready(): boolean {
    return this.#parts.publisher.ready;
  }

  /** What it is waiting for, in words; empty once ready. */
  pending(): readonly string[] {
    if (this.ready()) return [];
    const files = new Set(
      this.#parts.source
        .problems()
        .filter(({ severity }) => severity === 'error')
        .map(({ place }) => place?.file ?? this.#options.source.directory),
    );
    return [`manifests that can be read: ${[...files].join(', ')}`];
  }

  /** Everything that is wrong with the manifests: as files, as objects, and as a mesh. */
  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The roots that clients should trust, PEM. */
  roots(): string {
    return this.#parts.authority.roots;
  }

  objects(): ObjectSet {
    return this.#parts.source.objects();
  }

  /** The mesh that is served; undefined until ready. */
  snapshot(): Translation | undefined {
    return this.#parts.publisher.translation;
  }

  clients(): readonly ConnectedClient[] {
    return this.#parts.server.clients();
  }

  stats(): XdsServerStats {
    return this.#parts.server.stats();
  }

  /** Sends clients elsewhere, then stops. Idempotent. */
  async close(graceMs = 1000): Promise<void> {
    this.#unsubscribe();
    this.#timer?.cancel();
    this.#rootsTimer?.cancel();
    this.#closed = true;
    this.#parts.source.close();
    this.#parts.serving.close();
    await this.#parts.server.close(graceMs);
  }

  #watchRoots(): void {
    if (this.#closed) return;
    this.#rootsTimer = this.#clock.after(rootsIntervalMs, () => {
      void this.#parts.authority.refreshRoots().then((changed) => {
        if (changed) this.#options.observer?.rootsChanged?.(this.roots());
        this.#watchRoots();
      });
    });
  }

  /** Level-triggered: looks at what the source holds now, whatever happened. Nothing is served before all is known. */
  #publish(): void {
    const { source, publisher } = this.#parts;
    const startedMs = performance.now();
    const translation = translate(source.objects(), this.#options.mesh);
    const published = source.ready ? publisher.publish(translation) : { changed: 0, removed: 0 };
    this.#problems = [...source.problems(), ...translation.problems];
    this.#problemLog.report(this.#problems);
    if (!source.ready) return;
    this.#options.observer?.published?.({
      ...published,
      durationMs: performance.now() - startedMs,
      errors: this.#problems.filter(({ severity }) => severity === 'error').length,
      warnings: this.#problems.filter(({ severity }) => severity === 'warning').length,
    });
  }
}

function servingNames(serving: ControllerOptions['serving']): {
  readonly dnsNames: readonly string[];
  readonly ips: readonly IpAddress[];
  readonly validityMs?: number;
} {
  const addresses = serving.names.map(parseIp);
  return {
    dnsNames: serving.names.filter((_name, index) => addresses[index] === undefined),
    ips: addresses.filter((address) => address !== undefined),
    ...(serving.validityMs === undefined ? {} : { validityMs: serving.validityMs }),
  };
}
