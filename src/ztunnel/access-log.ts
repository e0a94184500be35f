// One line per connection, with the fields that ambient's users know. `policy`, `reason` and `trace_id` are ours.
import type { ClosedEvent, ConnectedEvent } from '../engine/types.ts';
import { formatSocketAddress } from '../mesh/address.ts';
import type { LogFields, Logger } from '../runtime/logger.ts';
import { describeClose, isFailure } from './close-reason.ts';
import type { Connection, Party, Refusal } from './connection.ts';

export type AccessLogMode = 'all' | 'failures' | 'off';

/** What is known of a connection at its end. */
export interface FinishedConnection {
  readonly connection: Connection;
  readonly closed: ClosedEvent;
  /** Why it was closed by us although it had been allowed: a policy changed, a certificate was revoked. */
  readonly revoked?: Refusal;
}

export class AccessLog {
  readonly #logger: Logger;
  readonly #mode: AccessLogMode;

  /** `logger` is the parent of the scope `access`, whose level can be set on its own. */
  constructor(options: { readonly logger: Logger; readonly mode: AccessLogMode }) {
    this.#logger = options.logger.child('access');
    this.#mode = options.mode;
  }

  opened(connection: Connection, event: ConnectedEvent): void {
    if (this.#mode !== 'all' || !isLogged(this.#logger, 'debug')) return;
    this.#logger.debug('connection opened', {
      ...partyFields(connection),
      setup: `${Math.round(event.setupUs / 1000)}ms`,
    });
  }

  finished(finished: FinishedConnection): void {
    if (this.#mode === 'off') return;
    const { connection, closed, revoked } = finished;
    const refusal = connection.refusal ?? revoked;
    const reason = refusal?.reason ?? closed.reason;
    const failed = isFailure(reason);
    if (!failed && (this.#mode === 'failures' || !isLogged(this.#logger, 'info'))) return;
    const fields = finishedFields(finished);
    if (connection.refusal !== undefined && reason !== 'denied')
      this.#logger.warn('connection failed', fields);
    else if (failed) this.#logger.error('connection complete', fields);
    else this.#logger.info('connection complete', fields);
  }
}

/** The fields of the line at a connection's end, in the order they are written. */
export function finishedFields({ connection, closed, revoked }: FinishedConnection): LogFields {
  const refusal = connection.refusal ?? revoked;
  const reason = refusal?.reason ?? closed.reason;
  const error = refusal?.message ?? describeClose(closed.reason, closed.detail);
  const policy = revoked === undefined ? connection.policy : revoked.policy;
  const inbound = connection.direction === 'inbound';
  return {
    ...partyFields(connection),
    bytes_sent: inbound ? closed.bytesReceived : closed.bytesSent,
    bytes_recv: inbound ? closed.bytesSent : closed.bytesReceived,
    duration: `${Math.round(closed.durationMs)}ms`,
    ...(error !== undefined && { error, reason }),
    ...(policy !== undefined && { policy }),
    ...(connection.dryRun !== undefined && { dry_run_denied_by: connection.dryRun.join(',') }),
    ...(connection.traceId !== undefined && { trace_id: connection.traceId }),
  };
}

/** Bytes are counted as the pod's own application sees them: what it sent, what it received. */
function partyFields(connection: Connection): LogFields {
  const { source, destination, hboneAddress, service, security } = connection;
  const proven = security !== 'plaintext';
  const tunnel = hboneAddress !== undefined;
  return {
    'src.addr': formatSocketAddress(source.address),
    ...workloadFields('src', source, proven),
    'dst.addr': formatSocketAddress(tunnel ? hboneAddress : destination.address),
    ...(tunnel && { 'dst.hbone_addr': formatSocketAddress(destination.address) }),
    ...(service !== undefined && { 'dst.service': service.hostname }),
    ...workloadFields('dst', destination, proven),
    direction: connection.direction,
    ...(security === 'same_node' && { connection_security_policy: security }),
  };
}

/** Identities are named only where TLS has shown them, or capture where there is no wire. */
function workloadFields(prefix: 'src' | 'dst', party: Party, proven: boolean): LogFields {
  const { workload, baggage, identity } = party;
  const name = workload?.name ?? baggage?.workloadName;
  const namespace = workload?.namespace ?? baggage?.namespace;
  const cluster = workload?.clusterId ?? baggage?.cluster;
  return {
    ...(name !== undefined && { [`${prefix}.workload`]: name }),
    ...(namespace !== undefined && { [`${prefix}.namespace`]: namespace }),
    ...(proven && identity !== undefined && { [`${prefix}.identity`]: identity }),
    ...(cluster !== undefined && { [`${prefix}.cluster`]: cluster }),
  };
}

const ranks = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

function isLogged(logger: Logger, level: 'debug' | 'info'): boolean {
  return ranks.indexOf(logger.level) <= ranks.indexOf(level);
}
