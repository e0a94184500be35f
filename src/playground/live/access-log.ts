// What the nodes' access logs say, as connections of the table. Each connection inside the mesh is reported twice, by
// the node it leaves and by the node it reaches: the latter knows the verdict, so its line is the one that counts.
import type { ObservedConnection } from './flows.ts';

/** A line of a ztunnel's log in JSON. Fields of other lines are of no interest here. */
type LogLine = Readonly<Record<string, unknown>>;

/** A refused connection that never reached another node is known to the first one only. */
const decidedElsewhere: ReadonlySet<string> = new Set([
  '',
  'peer_status',
  'peer_reset',
  'app_reset',
  'tunnel_lost',
]);

/** The connection of one line; undefined for lines of another subject and for those that the other node reports. */
export function parseAccessLine(
  node: string,
  line: string,
  position: number,
): ObservedConnection | undefined {
  const fields = parse(line);
  if (fields === undefined || fields['scope'] !== 'access') return undefined;
  const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
  const count = (name: string): number => Number(fields[name] ?? 0) || 0;
  const outbound = text('direction') === 'outbound';
  // As ambient writes it: with a tunnel `dst.addr` is the tunnel's end and `dst.hbone_addr` what it leads to.
  const tunnelled = text('dst.hbone_addr') !== '';
  const target = text('dst.hbone_addr') || text('dst.addr');
  const reason = text('reason');
  if (outbound && tunnelled && decidedElsewhere.has(reason)) return undefined;
  return {
    key: `${node}/${position}`,
    from: text('src.workload') || text('src.addr'),
    to: `${text('dst.workload') || hostOf(target)}:${portOf(target)}`,
    identity: shortIdentity(text('src.identity')),
    link: tunnelled ? 'mTLS' : 'plain',
    bytes: count('bytes_sent') + count('bytes_recv'),
    open: false,
    outcome: outcomeOf(reason, text('policy')),
  };
}

/** `allowed`, `denied: cart-readers`, or the reason. */
export function outcomeOf(reason: string, policy: string): string {
  const name = policy.slice(policy.lastIndexOf('/') + 1);
  if (reason === '') return 'allowed';
  if (name !== '') return `denied: ${name}`;
  return reason;
}

/** `spiffe://cluster.local/ns/shop/sa/cart` -> `shop/cart`. */
export function shortIdentity(uri: string): string {
  const match = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri);
  return match === null ? '' : `${match[1] ?? ''}/${match[2] ?? ''}`;
}

export function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

function parse(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined; // a process that was killed may leave half a line
  }
}
