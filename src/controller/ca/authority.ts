// The mesh's certificate authority: a root that is made once and kept, or an intermediate of somebody else's root.
// It signs leaves directly: each certificate less in a chain is one signature less in every handshake of the mesh.
import type { KeyObject } from 'node:crypto';
import type { Certificate } from '../../identity/certificate.ts';
import { readCertificate } from '../../identity/certificate.ts';
import type { Issuer } from '../../identity/issue.ts';
import { issueLeaf, issueRoot } from '../../identity/issue.ts';
import type { KeyPair } from '../../identity/keys.ts';
import { generateKey, readKey } from '../../identity/keys.ts';
import type { AltNames } from '../../identity/names.ts';
import { splitCertificates } from '../../identity/pem.ts';
import type { TrustBundle } from '../../identity/trust-bundle.ts';
import { findChainFault, readTrustBundle } from '../../identity/trust-bundle.ts';
import type { IpAddress } from '../../mesh/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { CaError } from './errors.ts';
import type { CaFiles } from './files.ts';
import { createCaDirectory, readCaFiles, readRoots, storeKey, storeRoot } from './files.ts';

export interface AuthorityOptions {
  readonly directory: string;
  /** For the name of a new root. */
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of a new root: 10 years. */
  readonly rootValidityMs?: number;
  /** By how much certificates start earlier: 15 minutes. */
  readonly backdateMs?: number;
}

export interface IssuedChain {
  /** Leaf first, then what is between it and a root; no root. */
  readonly certificates: readonly string[];
  readonly notAfterMs: number;
}

export interface ServingMaterial {
  readonly chainPem: string;
  readonly keyPem: string;
  readonly notAfterMs: number;
}

const dayMs = 24 * 3_600_000;

/** Clocks of nodes may be behind: what is issued was valid already this long ago. */
const backdatedMs = 15 * 60_000;

export class CertificateAuthority {
  readonly #issuer: Issuer;
  readonly #intermediates: readonly Certificate[];
  #bundle: TrustBundle;
  /** The text that was looked at last, good or not. */
  #rootsText: string | undefined;
  readonly #options: AuthorityOptions;
  readonly #clock: Clock;
  readonly #backdateMs: number;

  private constructor(
    issuer: Issuer,
    intermediates: readonly Certificate[],
    bundle: TrustBundle,
    options: AuthorityOptions,
  ) {
    this.#issuer = issuer;
    this.#intermediates = intermediates;
    this.#bundle = bundle;
    this.#options = options;
    this.#clock = options.clock;
    this.#backdateMs = options.backdateMs ?? backdatedMs;
  }

  /** Reads the authority of a directory, or makes one in an empty one. Throws ERR_CULVERT_CA_FILES. */
  static async open(options: AuthorityOptions): Promise<CertificateAuthority> {
    const { directory } = options;
    await createCaDirectory(directory);
    const found = await readCaFiles(directory);
    const files = found.certificatePem === undefined ? await createRoot(options) : found;
    try {
      return CertificateAuthority.#assemble(files, options);
    } catch (error) {
      const message = `the certificate authority in ${directory} cannot be used: ${messageOf(error)}`;
      throw new CaError('ERR_CULVERT_CA_FILES', message, { cause: error });
    }
  }

  static #assemble(files: CaFiles, options: AuthorityOptions): CertificateAuthority {
    const { keyPem, certificatePem } = files;
    if (keyPem === undefined || certificatePem === undefined)
      throw new CaError('ERR_CULVERT_CA_FILES', 'ca-cert.pem is there but ca-key.pem is missing');
    const key = readKey(keyPem);
    const certificate = readCertificate(certificatePem);
    if (!certificate.isAuthority)
      throw new CaError('ERR_CULVERT_CA_FILES', 'ca-cert.pem is no authority (CA:TRUE)');
    if (!certificate.x509.publicKey.equals(key.publicKey))
      throw new CaError('ERR_CULVERT_CA_FILES', 'ca-key.pem is not the key of ca-cert.pem');
    const bundle = readTrustBundle(files.rootsPem ?? certificatePem);
    const roots = new Set(bundle.roots.map((root) => root.pem));
    const between = [certificatePem, ...(files.chainPem === undefined ? [] : [files.chainPem])];
    const pems = new Set(between.flatMap(splitCertificates));
    const intermediates = [...pems].filter((pem) => !roots.has(pem)).map(readCertificate);
    const fault = findChainFault([certificate, ...intermediates], bundle, options.clock.now());
    if (fault !== undefined) throw new CaError('ERR_CULVERT_CA_FILES', `ca-cert.pem: ${fault}`);
    return new CertificateAuthority(
      { certificate, privateKey: key.privateKey },
      intermediates,
      bundle,
      options,
    );
  }

  /** Reads root-cert.pem again. Roots that were added or removed there hold for what is issued from now on; a file that
   *  cannot be used, or in which our own root is missing, leaves those in force that were. True if they have changed. */
  async refreshRoots(): Promise<boolean> {
    const { directory, logger } = this.#options;
    try {
      const text = await readRoots(directory);
      if (text === undefined || text === this.#rootsText || text === this.#bundle.pem) return false;
      this.#rootsText = text;
      const bundle = readTrustBundle(text);
      const own = [this.#issuer.certificate, ...this.#intermediates];
      const fault = findChainFault(own, bundle, this.#clock.now());
      if (fault !== undefined) throw new CaError('ERR_CULVERT_CA_FILES', `ca-cert.pem: ${fault}`);
      if (bundle.pem === this.#bundle.pem) return false;
      this.#bundle = bundle;
      logger.info('the roots of the mesh have changed', { directory, roots: bundle.roots.length });
      return true;
    } catch (error) {
      logger.error('root-cert.pem cannot be used: the roots that were trusted stay', {
        directory,
        error: messageOf(error),
      });
      return false;
    }
  }

  /** PEM of every root that is trusted. */
  get roots(): string {
    return this.#bundle.pem;
  }

  /** When the signing certificate itself ends. */
  get notAfterMs(): number {
    return this.#issuer.certificate.notAfterMs;
  }

  /** Signs a leaf that ends after `validityMs`, or with the authority if that is sooner.
   *  Throws ERR_CULVERT_CA_UNAVAILABLE once the authority has expired. */
  issue(publicKey: KeyObject, names: Partial<AltNames>, validityMs: number): IssuedChain {
    const now = this.#clock.now();
    if (this.notAfterMs <= now)
      throw new CaError(
        'ERR_CULVERT_CA_UNAVAILABLE',
        "the certificate authority's own certificate has expired",
      );
    const notAfterMs = Math.min(now + validityMs, this.notAfterMs);
    const notBeforeMs = Math.max(now - this.#backdateMs, this.#issuer.certificate.notBeforeMs);
    const leaf = issueLeaf({ publicKey, names, notBeforeMs, notAfterMs }, this.#issuer);
    const between = this.#intermediates.map((certificate) => certificate.pem);
    return { certificates: [leaf, ...between], notAfterMs };
  }

  /** A key and certificate for a server of the controller itself. */
  async issueServing(names: {
    readonly dnsNames: readonly string[];
    readonly ips: readonly IpAddress[];
    readonly uris?: readonly string[];
    readonly validityMs?: number;
  }): Promise<ServingMaterial> {
    const key = await generateKey();
    const { dnsNames, ips, uris = [] } = names;
    const issued = this.issue(key.publicKey, { dnsNames, ips, uris }, names.validityMs ?? 7 * dayMs);
    return {
      chainPem: issued.certificates.join(''),
      keyPem: key.privateKeyPem,
      notAfterMs: issued.notAfterMs,
    };
  }
}

/** Makes a root for the key that is there, or for a new one. Nothing else was signed by a key without certificate. */
async function createRoot(options: AuthorityOptions): Promise<CaFiles> {
  const { directory, trustDomain, clock, logger } = options;
  const fresh = await generateKey();
  const outcome = await storeKey(directory, fresh.privateKeyPem);
  const { keyPem } = await readCaFiles(directory);
  const key: KeyPair = outcome === 'stored' ? fresh : readKey(keyPem ?? '');
  const now = clock.now();
  const certificatePem = issueRoot(
    {
      organization: trustDomain,
      commonName: 'Culvert root',
      notBeforeMs: now - (options.backdateMs ?? backdatedMs),
      notAfterMs: now + (options.rootValidityMs ?? 3650 * dayMs),
    },
    key,
  );
  await storeRoot(directory, certificatePem);
  logger.info('made a new root of the mesh', { directory, trustDomain });
  return readCaFiles(directory);
}
