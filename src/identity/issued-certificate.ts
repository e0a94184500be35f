// What comes back from the certificate service is checked before it is used: a wrong answer is a failed fetch.
import type { Certificate } from './certificate.ts';
import { readCertificate } from './certificate.ts';
import { IdentityError } from './errors.ts';
import type { KeyPair } from './keys.ts';
import { exportSpki } from './keys.ts';
import { splitCertificates } from './pem.ts';
import { findChainFault, readTrustBundle } from './trust-bundle.ts';

export interface IssuedCertificate {
  /** The SPIFFE id. */
  readonly identity: string;
  /** PEM, leaf first, without the root. */
  readonly certificateChain: string;
  /** PKCS#8 PEM. */
  readonly privateKey: string;
  /** PEM: the roots to verify peers against. */
  readonly roots: string;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Longest chain that is accepted, roots included. */
const certificatesMax = 72;

/** Takes a chain as CreateCertificate answers it (leaf first; the last element holds the root or roots).
 *  Throws IdentityError unless it is for exactly this identity and key, valid at `nowMs`, and leads to its roots. */
export function acceptChain(
  identity: string,
  chain: readonly string[],
  key: KeyPair,
  nowMs: number,
): IssuedCertificate {
  const rootText = chain.at(-1);
  if (rootText === undefined || chain.length < 2) throw refused(identity, 'the chain lacks a leaf or a root');
  if (chain.length > certificatesMax) throw refused(identity, `the chain has ${chain.length} elements`);
  const pems = chain.slice(0, -1).flatMap(splitCertificates);
  if (pems.length > certificatesMax) throw refused(identity, `the chain has ${pems.length} certificates`);
  const certificates = pems.map(readCertificate);
  const bundle = readTrustBundle(rootText);
  const leaf = certificates[0];
  if (leaf === undefined) throw refused(identity, 'the leaf is missing');
  const fault = findLeafFault(identity, leaf, key) ?? findChainFault(certificates, bundle, nowMs);
  if (fault !== undefined) throw refused(identity, fault);
  return {
    identity,
    certificateChain: certificates.map((certificate) => certificate.pem).join(''),
    privateKey: key.privateKeyPem,
    roots: bundle.pem,
    serial: leaf.serial,
    notBeforeMs: leaf.notBeforeMs,
    notAfterMs: Math.min(...certificates.map((certificate) => certificate.notAfterMs)),
  };
}

function findLeafFault(identity: string, leaf: Certificate, key: KeyPair): string | undefined {
  const { uris } = leaf.names;
  if (uris.length !== 1 || uris[0] !== identity) return `it names ${uris.join(', ') || 'no identity'}`;
  if (!exportSpki(leaf.x509.publicKey).equals(exportSpki(key.publicKey))) return 'it is for another key';
  return leaf.isAuthority ? 'it is an authority' : undefined;
}

function refused(identity: string, reason: string): IdentityError {
  return new IdentityError(
    'ERR_CULVERT_CERTIFICATE_FETCH',
    `the certificate service's answer for ${identity} is refused: ${reason}`,
  );
}
