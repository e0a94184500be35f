// Who may have which certificate. A caller may always have its own; a node agent those of the pods on its node.
import { readSigningRequest } from '../../identity/csr.ts';
import type { Identity } from '../../mesh/identity.ts';
import { formatIdentity, parseIdentity } from '../../mesh/identity.ts';
import type { Caller, CertificateSigner } from '../../xds/types.ts';
import type { CertificateAuthority } from './authority.ts';
import { CaError } from './errors.ts';

export interface PodIdentitySignerOptions {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  /** SPIFFE ids of the pods that run on a node now. */
  readonly identitiesOnNode: (node: string) => ReadonlySet<string>;
  /** `namespace/serviceAccount` of those who may ask for others on their node: ztunnels. */
  readonly nodeAccounts: ReadonlySet<string>;
  /** Longest validity: 24 hours. Also what is given when none is asked for. */
  readonly validityMsMax?: number;
}

type SignRequest = Parameters<CertificateSigner['sign']>[0];

export class PodIdentitySigner implements CertificateSigner {
  readonly #options: PodIdentitySignerOptions;

  constructor(options: PodIdentitySignerOptions) {
    this.#options = options;
  }

  /** The chain, leaf first; the last element holds all roots. Rejects with ERR_CULVERT_CSR, ERR_CULVERT_CA_REQUEST,
   *  ERR_CULVERT_CA_DENIED or ERR_CULVERT_CA_UNAVAILABLE. */
  async sign(request: SignRequest): Promise<readonly string[]> {
    const { authority, validityMsMax = 24 * 3_600_000 } = this.#options;
    const { publicKey, identity } = this.#read(request);
    const denial = this.#findDenial(request.caller, identity);
    if (denial !== undefined)
      throw new CaError(
        'ERR_CULVERT_CA_DENIED',
        `${request.caller.name} may not have a certificate for ${formatIdentity(identity)}: ${denial}`,
      );
    const validityMs = request.validityMs > 0 ? Math.min(request.validityMs, validityMsMax) : validityMsMax;
    const { certificates } = authority.issue(publicKey, { uris: [formatIdentity(identity)] }, validityMs);
    return [...certificates, authority.roots];
  }

  /** The key and the one identity that is asked for, by the request itself, by its metadata, or by both alike. */
  #read(request: SignRequest): {
    readonly publicKey: ReturnType<typeof readSigningRequest>['publicKey'];
    readonly identity: Identity;
  } {
    const { names, publicKey } = readSigningRequest(request.csrPem);
    if (names.dnsNames.length + names.ips.length + names.others > 0)
      throw invalid('the signing request names something else than a SPIFFE id');
    const asked = new Set(names.uris);
    if (names.uris.length > 1) throw invalid('the signing request names more than one SPIFFE id');
    if (request.impersonatedIdentity !== undefined) asked.add(request.impersonatedIdentity);
    const [uri] = asked;
    if (uri === undefined) throw invalid('no SPIFFE id is asked for');
    if (asked.size > 1)
      throw invalid('the signing request and ImpersonatedIdentity name different SPIFFE ids');
    const identity = parseIdentity(uri);
    if (identity === undefined)
      throw invalid('what is asked for is not spiffe://<domain>/ns/<namespace>/sa/<account>');
    return { publicKey, identity };
  }

  #findDenial(caller: Caller, identity: Identity): string | undefined {
    const { trustDomain, nodeAccounts, identitiesOnNode } = this.#options;
    if (identity.trustDomain !== trustDomain) return `the trust domain of this mesh is ${trustDomain}`;
    if (caller.namespace === identity.namespace && caller.serviceAccount === identity.serviceAccount)
      return undefined;
    if (!nodeAccounts.has(`${caller.namespace}/${caller.serviceAccount}`)) return 'it is no node agent';
    if (caller.node === undefined) return 'its credentials do not say on which node it runs';
    return identitiesOnNode(caller.node).has(formatIdentity(identity))
      ? undefined
      : `no pod of that identity runs on node ${caller.node}`;
  }
}

function invalid(message: string): CaError {
  return new CaError('ERR_CULVERT_CA_REQUEST', message);
}
