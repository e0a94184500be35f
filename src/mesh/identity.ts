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

/** What policies compare: the URI without its scheme, `cluster.local/ns/shop/sa/cart`. Worked out once per record. */
export function principalOf(identity: Identity): string {
  let principal = principals.get(identity);
  if (principal === undefined)
    principals.set(identity, (principal = formatIdentity(identity).slice('spiffe://'.length)));
  return principal;
}

const principals = new WeakMap<Identity, string>();

/** A peer's SPIFFE id as all its connections hold it: one text and one record for as many as there are. */
export interface PeerIdentity {
  readonly uri: string;
  /** Undefined if the URI is not an identity of a workload. */
  readonly identity: Identity | undefined;
}

/** `parseIdentity`, remembered for the peers of the last connections. */
export function peerIdentity(uri: string): PeerIdentity {
  let known = peers.get(uri);
  if (known === undefined) {
    if (peers.size >= peersMax) peers.clear();
    peers.set(uri, (known = { uri, identity: parseIdentity(uri) }));
  }
  return known;
}

const peersMax = 4096;
const peers = new Map<string, PeerIdentity>();
