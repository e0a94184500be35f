// The server's own certificate, which can be replaced while it serves: new connections get the new one.
import { ServerCredentials } from '@grpc/grpc-js';

export interface ServingCertificate {
  /** PEM, leaf first. */
  readonly chainPem: string;
  /** PEM. */
  readonly keyPem: string;
}

/** TLS 1.3 alone; clients prove themselves by a token, not by a certificate. */
export class ServingCredentials extends ServerCredentials {
  constructor(certificate: ServingCertificate) {
    super({ minVersion: 'TLSv1.3', requestCert: false, handshakeTimeout: 10_000 }, contextOf(certificate));
  }

  replace(certificate: ServingCertificate): void {
    this.updateSecureContextOptions(contextOf(certificate));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf(certificate: ServingCertificate): { readonly cert: string; readonly key: string } {
  return { cert: certificate.chainPem, key: certificate.keyPem };
}
