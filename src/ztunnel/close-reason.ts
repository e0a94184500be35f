// How the end of a connection is told: to metrics as a response flag, to people as a sentence.
import type { CloseReason } from '../engine/types.ts';

/** Istio's response flag where it has one; else our reason in capitals. `-` is no failure. */
export function responseFlag(reason: CloseReason, detail: number): string {
  if (reason === 'peer_status') return detail === 401 ? 'DENY' : detail === 503 ? 'CONNECT' : 'PEER_STATUS';
  return flags[reason];
}

/** False for a clean end and for resets by either application, which are ordinary. */
export function isFailure(reason: CloseReason): boolean {
  return flags[reason] !== '-';
}

/** What the access log says of it; undefined for a clean end. */
export function describeClose(reason: CloseReason, detail: number): string | undefined {
  const text = sentences[reason];
  if (text === undefined) return undefined;
  return detail === 0 || !withDetail.has(reason) ? text : `${text} (${detail})`;
}

const flags: Readonly<Record<CloseReason, string>> = {
  ok: '-',
  denied: 'DENY',
  no_route: 'NO_ROUTE',
  no_waypoint: 'NO_WAYPOINT',
  self_call: 'SELF_CALL',
  bad_request: 'BAD_REQUEST',
  connect_failed: 'CONNECT',
  network_policy: 'NETWORK_POLICY',
  tls_failure: 'TLS_FAILURE',
  h2_failure: 'H2_HANDSHAKE_FAILURE',
  identity_error: 'IDENTITY_ERROR',
  cert_revoked: 'CERT_REVOKED',
  peer_status: 'PEER_STATUS',
  peer_reset: '-',
  app_reset: '-',
  tunnel_lost: 'TUNNEL_LOST',
  decision_timeout: 'DECISION_TIMEOUT',
  limit: 'LIMIT',
  drained: '-',
  closed_by_request: '-',
};

const sentences: Readonly<Record<CloseReason, string | undefined>> = {
  ok: undefined,
  denied: 'connection closed due to policy rejection',
  no_route: 'no route to the destination',
  no_waypoint: 'the waypoint of the destination cannot be used',
  self_call: 'the destination is the proxy itself',
  bad_request: 'the request is malformed or for an address that is not served here',
  connect_failed: 'connection failed',
  network_policy: 'connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008',
  tls_failure: 'TLS handshake failed',
  h2_failure: 'the peer does not speak HTTP/2',
  identity_error: 'no valid certificate of our own',
  cert_revoked: 'the certificate of the peer was revoked',
  peer_status: 'the peer refused the connection: HTTP status',
  peer_reset: 'reset by the peer',
  app_reset: 'reset by the application',
  tunnel_lost: 'the tunnel broke',
  decision_timeout: 'no decision in time',
  limit: 'a limit was reached',
  drained: 'closed at the drain deadline',
  closed_by_request: 'closed by request of an operator',
};

const withDetail: ReadonlySet<CloseReason> = new Set([
  'connect_failed',
  'tls_failure',
  'h2_failure',
  'peer_status',
  'peer_reset',
]);
