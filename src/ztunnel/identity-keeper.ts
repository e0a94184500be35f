// Certificates for as long as a pod needs them: the first pod of an identity asks for one, every renewal goes to the
// engine, and the last pod that leaves lets it go.
import type { Engine } from '../engine/types.ts';
import type {
  CertificateFailure,
  CertificateStatus,
  IssuedCertificate,
} from '../identity/certificate-manager.ts';
import { parseIdentity } from '../mesh/identity.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';

/** What is needed of `CertificateManager`. */
export interface CertificateSource {
  need(identity: string, priority: 'background' | 'warmup' | 'realtime'): void;
  current(identity: string): IssuedCertificate | undefined;
  forget(identity: string): void;
  list(): readonly CertificateStatus[];
  on(event: 'renewed', listener: (certificate: IssuedCertificate) => void): unknown;
  on(event: 'failed', listener: (failure: CertificateFailure) => void): unknown;
  on(event: 'expired', listener: (identity: string) => void): unknown;
  close(): void;
}

export interface IdentityKeeperOptions {
  readonly engine: Engine;
  readonly certificates: CertificateSource;
  readonly logger: Logger;
  /** A certificate has come or run out. */
  readonly changed: () => void;
}

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #users = new Map<string, number>();
  /** What the engine was given, by identity. */
  readonly #given = new Map<string, IssuedCertificate>();

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    const { certificates, logger } = options;
    certificates.on('renewed', (certificate) => this.#give(certificate));
    certificates.on('failed', ({ identity, error, retryAtMs }) =>
      logger.warn('cannot get a certificate', {
        identity,
        error: error.message,
        retry_at: new Date(retryAtMs).toISOString(),
      }),
    );
    certificates.on('expired', (identity) => {
      logger.error('a certificate has expired: its connections are refused', { identity });
      options.changed();
    });
  }

  use(identity: string): void {
    const users = this.#users.get(identity) ?? 0;
    // Asked for first: if the manager refuses, nothing was counted.
    if (users === 0) this.#options.certificates.need(identity, 'realtime');
    this.#users.set(identity, users + 1);
    const current = this.#options.certificates.current(identity);
    if (users === 0 && current !== undefined) this.#give(current);
  }

  release(identity: string): void {
    const users = this.#users.get(identity);
    if (users === undefined) return;
    if (users > 1) {
      this.#users.set(identity, users - 1);
      return;
    }
    this.#users.delete(identity);
    this.#options.certificates.forget(identity);
    if (this.#given.delete(identity)) this.#options.engine.removeIdentity(identity);
  }

  /** Whether the engine has a certificate of this identity that is valid now. */
  has(identity: string): boolean {
    return this.#given.has(identity) && this.#options.certificates.current(identity) !== undefined;
  }

  /** Identities in use whose certificate has run out. */
  get expired(): readonly string[] {
    return [...this.#given.keys()].filter((identity) => !this.has(identity));
  }

  list(): readonly CertificateStatus[] {
    return this.#options.certificates.list();
  }

  #give(certificate: IssuedCertificate): void {
    const { engine, logger, changed } = this.#options;
    const { identity: name, certificateChain, privateKey, roots } = certificate;
    if (!this.#users.has(name) || this.#given.get(name) === certificate) return;
    const trustDomain = parseIdentity(name)?.trustDomain;
    if (trustDomain === undefined) return;
    try {
      engine.setIdentity({ name, certificateChain, privateKey, roots, trustDomains: [trustDomain] });
    } catch (error) {
      logger.error('the engine does not take a certificate', { identity: name, error: messageOf(error) });
      return;
    }
    this.#given.set(name, certificate);
    logger.info('certificate in use', {
      identity: name,
      serial: certificate.serial,
      not_after: new Date(certificate.notAfterMs).toISOString(),
    });
    changed();
  }
}
