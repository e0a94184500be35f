// An authority for tests, and the leaves it signs: good, expired, not yet valid, or of a foreign root.
import type { IpAddress } from '../../src/mesh/address.ts';
import type { Issuer } from '../../src/identity/issue.ts';
import { issueIntermediate, issueLeaf, issueRoot, issuerOf } from '../../src/identity/issue.ts';
import type { KeyPair } from '../../src/identity/keys.ts';
import { generateKey } from '../../src/identity/keys.ts';

const hourMs = 3_600_000;

export interface TestLeaf {
  /** The SPIFFE id (first URI) it was made for; empty if it has none. */
  readonly identity: string;
  readonly certificatePem: string;
  /** Leaf first, then intermediates; no root. */
  readonly chainPem: string;
  /** PKCS#8. */
  readonly keyPem: string;
  readonly key: KeyPair;
  /** Of the authority that signed it. */
  readonly rootPem: string;
}

export interface LeafOptions {
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly IpAddress[];
  /** Further URIs beside the identity. */
  readonly uris?: readonly string[];
}

export class TestAuthority {
  readonly rootPem: string;
  readonly rootKey: KeyPair;
  readonly #issuer: Issuer;
  readonly #intermediatePem: string;

  private constructor(rootPem: string, rootKey: KeyPair, issuer: Issuer, intermediatePem: string) {
    this.rootPem = rootPem;
    this.rootKey = rootKey;
    this.#issuer = issuer;
    this.#intermediatePem = intermediatePem;
  }

  /** A fresh root each time: two authorities are foreign to each other. `nowMs` is what validity is counted from. */
  static async create(
    options: { readonly intermediate?: boolean; readonly nowMs?: number } = {},
  ): Promise<TestAuthority> {
    const rootKey = await generateKey();
    const validity = authorityValidity(options.nowMs ?? Date.now());
    const rootPem = issueRoot(
      { commonName: 'test root', organization: 'culvert test', ...validity },
      rootKey,
    );
    const root = issuerOf(rootPem, rootKey);
    if (options.intermediate !== true) return new TestAuthority(rootPem, rootKey, root, '');
    const key = await generateKey();
    const names = { commonName: 'test intermediate', organization: 'culvert test' };
    const pem = issueIntermediate({ ...names, ...validity }, key.publicKey, root);
    return new TestAuthority(rootPem, rootKey, issuerOf(pem, key), pem);
  }

  get issuer(): Issuer {
    return this.#issuer;
  }

  /** A leaf for a SPIFFE id, valid from an hour ago for a day. Pass '' for one without. */
  async issue(identity: string, options: LeafOptions = {}): Promise<TestLeaf> {
    const key = await generateKey();
    const uris = [...(identity === '' ? [] : [identity]), ...(options.uris ?? [])];
    const names = { uris, dnsNames: options.dnsNames ?? [], ips: options.ips ?? [] };
    const notBeforeMs = options.notBeforeMs ?? Date.now() - hourMs;
    const notAfterMs = options.notAfterMs ?? Date.now() + 23 * hourMs;
    const request = { publicKey: key.publicKey, names, notBeforeMs, notAfterMs };
    const certificatePem = issueLeaf(request, this.#issuer);
    const chainPem = certificatePem + this.#intermediatePem;
    return { identity, certificatePem, chainPem, keyPem: key.privateKeyPem, key, rootPem: this.rootPem };
  }

  /** A leaf that expired an hour ago. */
  issueExpired(identity: string): Promise<TestLeaf> {
    return this.issue(identity, { notBeforeMs: Date.now() - 25 * hourMs, notAfterMs: Date.now() - hourMs });
  }

  /** A leaf that is valid from tomorrow. */
  issueFuture(identity: string): Promise<TestLeaf> {
    return this.issue(identity, {
      notBeforeMs: Date.now() + 24 * hourMs,
      notAfterMs: Date.now() + 48 * hourMs,
    });
  }
}

function authorityValidity(nowMs: number): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  return { notBeforeMs: nowMs - 24 * 365 * hourMs, notAfterMs: nowMs + 24 * 3650 * hourMs };
}
