// A node's connections, as its admin endpoint lists them, in the table's terms. Each connection inside the mesh is told
// of twice, by the end it leaves and by the end it reaches: the latter knows the verdict, so its word counts.
import type { ObservedConnection } from './flows.ts';

export interface ReportedParty {
  /** `10.244.1.11:40000`. */
  readonly address: string;
  readonly workload: string | null;
  readonly namespace: string | null;
  readonly identity: string | null;
}

interface Reported {
  readonly id: number;
  readonly direction: 'inbound' | 'outbound';
  readonly security: 'mutual_tls' | 'same_node' | 'plaintext';
  readonly openedMs: number;
  readonly source: ReportedParty;
  readonly destination: ReportedParty;
  readonly hboneAddress: string | null;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly policy: string | null;
}

export interface EndedConnection extends Reported {
  /** Why it ended: `ok`, `denied`, `connect_failed`, ... */
  readonly reason: string;
}

/** GET /connections of a ztunnel. */
export interface ConnectionsReport {
  readonly live: readonly (Reported & { readonly state: 'opening' | 'open' })[];
  /** Ended or refused ones, oldest first. */
  readonly recent: readonly EndedConnection[];
}

/** Reasons by which the other node ended it: it has the whole story. */
const toldElsewhere: ReadonlySet<string> = new Set([
  'ok',
  'denied',
  'peer_status',
  'peer_reset',
  'app_reset',
  'drained',
]);

/** Ends that are nobody's fault: the connection was allowed and did its work. */
const wellEnded: ReadonlySet<string> = new Set([
  'ok',
  'app_reset',
  'peer_reset',
  'drained',
  'closed_by_request',
]);

/** The connections of one node. `allowPolicies` names those that could have let a workload's denied caller in. */
export function observeNode(
  node: string,
  report: ConnectionsReport,
  allowPolicies: (workload: string) => string,
): readonly ObservedConnection[] {
  const live = report.live
    .filter((connection) => !(connection.direction === 'outbound' && isToldTwice(connection)))
    .map((connection) => observed(node, connection, true, 'allowed'));
  const ended = report.recent
    .filter(
      (connection) =>
        !(
          connection.direction === 'outbound' &&
          isToldTwice(connection) &&
          toldElsewhere.has(connection.reason)
        ),
    )
    .map((connection) => observed(node, connection, false, outcomeOf(connection, allowPolicies)));
  return [...live, ...ended];
}

/** `allowed`, `denied: cart-readers`, or the reason. */
function outcomeOf(connection: EndedConnection, allowPolicies: (workload: string) => string): string {
  if (wellEnded.has(connection.reason)) return 'allowed';
  if (connection.reason !== 'denied') return connection.reason;
  const policy = connection.policy ?? allowPolicies(connection.destination.workload ?? '');
  return policy === '' ? 'denied' : `denied: ${policy.slice(policy.lastIndexOf('/') + 1)}`;
}

function observed(node: string, connection: Reported, open: boolean, outcome: string): ObservedConnection {
  const { id, direction, security, openedMs, source, destination, bytesSent, bytesReceived } = connection;
  const twice = isToldTwice(connection);
  return {
    key: `${node}/${openedMs}/${id}/${direction}`,
    from: nameOf(source),
    to: `${nameOf(destination)}:${destination.address.slice(destination.address.lastIndexOf(':') + 1)}`,
    identity: twice ? shortIdentity(source.identity ?? '') : '', // in plain TCP nothing is proven
    link: security === 'same_node' ? 'node' : twice ? 'mTLS' : 'plain',
    bytes: bytesSent + bytesReceived,
    open,
    outcome,
  };
}

/** Inside the mesh: both ends tell of it. */
function isToldTwice(connection: Reported): boolean {
  return connection.hboneAddress !== null || connection.security !== 'plaintext';
}

function nameOf(party: ReportedParty): string {
  return party.workload ?? party.address.slice(0, party.address.lastIndexOf(':'));
}

/** `spiffe://cluster.local/ns/shop/sa/cart` -> `shop/cart`. */
export function shortIdentity(uri: string): string {
  const match = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri);
  return match === null ? '' : `${match[1] ?? ''}/${match[2] ?? ''}`;
}
