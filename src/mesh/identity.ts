// Who a workload is: a SPIFFE id of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>.

export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Parts of visible ASCII: what a certificate may hold besides (line ends, NUL, escapes) belongs into no log and no rule. */
const pattern = /^spiffe:\/\/([!"$-.0->@-~]+)\/ns\/([!"$-.0->@-~]+)\/sa\/([!"$-.0->@-~]+)$/;

/** The URI form, as it stands in a certificate. */
export function formatIdentity(identity: Identity): string {
  return `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

/** Undefined for a URI that is not an identity of a workload (2048 bytes at most: SPIFFE ID section 2.3). */
export function parseIdentity(uri: string): Identity | undefined {
  if (uri.length > 2048) return undefined;
  const match = pattern.exec(uri);
  const [, trustDomain, namespace, serviceAccount] = match ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  return { trustDomain, namespace, serviceAccount };
}

/** What policies compare: the URI without its scheme, `cluster.local/ns/shop/sa/cart`. */
export function principalOf(identity: Identity): string {
  return formatIdentity(identity).slice('spiffe://'.length);
}
