// The roots a mesh trusts. Several at once, so that a new root can spread before it signs anything.
import type { Certificate } from './certificate.ts';
import { readCertificate } from './certificate.ts';
import { IdentityError } from './errors.ts';
import { splitCertificates } from './pem.ts';

export interface TrustBundle {
  readonly roots: readonly Certificate[];
  /** All roots, one after the other. */
  readonly pem: string;
}

/** More roots than this are a mistake. */
const rootsMax = 64;

/** Longest chain that is followed: leaf, two intermediates and a root, with one to spare. */
const chainLengthMax = 5;

/** Reads roots from PEM texts, without duplicates. Throws ERR_CULVERT_TRUST_BUNDLE if one is no authority. */
export function readTrustBundle(...texts: readonly string[]): TrustBundle {
  const pems = [...new Set(texts.flatMap((text) => splitCertificates(text)))];
  if (pems.length > rootsMax)
    throw new IdentityError(
      'ERR_CULVERT_TRUST_BUNDLE',
      `${pems.length} roots; at most ${rootsMax} are accepted`,
    );
  const roots = pems.map(readCertificate);
  const wrong = roots.find((root) => !root.isAuthority);
  if (wrong !== undefined)
    throw new IdentityError(
      'ERR_CULVERT_TRUST_BUNDLE',
      `the certificate with serial ${wrong.serial} is no authority (CA:TRUE is missing) and cannot be a root`,
    );
  return { roots, pem: pems.join('') };
}

/** Why this chain (leaf first) is not to be trusted at `nowMs`; undefined if it is. Names are the caller's affair. */
export function findChainFault(
  chain: readonly Certificate[],
  bundle: TrustBundle,
  nowMs: number,
): string | undefined {
  const [leaf, ...others] = chain;
  if (leaf === undefined) return 'the chain is empty';
  let current = leaf;
  for (let depth = 0; depth < chainLengthMax; depth += 1) {
    if (current.notBeforeMs > nowMs) return `serial ${current.serial} is not valid yet`;
    if (current.notAfterMs <= nowMs) return `serial ${current.serial} has expired`;
    const root = bundle.roots.find((candidate) => isIssuedBy(current, candidate));
    if (root !== undefined)
      return root.notAfterMs <= nowMs ? `the root with serial ${root.serial} has expired` : undefined;
    const next = others.find((candidate) => candidate !== current && isIssuedBy(current, candidate));
    if (next === undefined) return `serial ${current.serial} was not issued by a trusted root`;
    current = next;
  }
  return `the chain is longer than ${chainLengthMax}`;
}

function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    issuer.isAuthority &&
    certificate.x509.checkIssued(issuer.x509) &&
    certificate.x509.verify(issuer.x509.publicKey)
  );
}
