// Certificates without an authority: a test issues and expires them.
import { EventEmitter } from 'node:events';
import type { CertificateStatus, IssuedCertificate } from '../../src/identity/certificate-manager.ts';
import type { CertificateSource } from '../../src/ztunnel/identity-keeper.ts';

export class FakeCertificates extends EventEmitter implements CertificateSource {
  readonly needed = new Set<string>();
  readonly issued = new Map<string, IssuedCertificate>();
  closed = false;
  #serial = 0;

  /** With `issueAtOnce`, whatever is needed is there. */
  constructor(options: { readonly issueAtOnce: boolean }) {
    super();
    if (options.issueAtOnce) this.on('need', (identity: string) => this.issue(identity));
  }

  issue(identity: string): IssuedCertificate {
    const certificate: IssuedCertificate = {
      identity,
      certificateChain: `chain of ${identity}`,
      privateKey: `key of ${identity}`,
      roots: 'roots',
      serial: String((this.#serial += 1)),
      notBeforeMs: 0,
      notAfterMs: Date.UTC(2100, 0),
    } as IssuedCertificate;
    this.issued.set(identity, certificate);
    this.emit('renewed', certificate);
    return certificate;
  }

  expire(identity: string): void {
    this.issued.delete(identity);
    this.emit('expired', identity);
  }

  need(identity: string): void {
    this.needed.add(identity);
    this.emit('need', identity);
  }

  current(identity: string): IssuedCertificate | undefined {
    return this.issued.get(identity);
  }

  forget(identity: string): void {
    this.needed.delete(identity);
    this.issued.delete(identity);
  }

  list(): readonly CertificateStatus[] {
    return [...this.needed].map((identity) => {
      const certificate = this.issued.get(identity);
      return certificate === undefined
        ? { identity, state: 'fetching' }
        : { identity, state: 'resting', serial: certificate.serial, notAfterMs: certificate.notAfterMs };
    });
  }

  close(): void {
    this.closed = true;
  }
}
