// One line per connection, with the fields that ambient's users know. `policy`, `reason` and `trace_id` are ours.
import type { ClosedEvent, ConnectedEvent } from '../engine/types.ts';
import { formatSocketAddress } from '../mesh/address.ts';
import type { LogFields, Logger } from '../runtime/logger.ts';
import { describeClose, isFailure } from './close-reason.ts';
import type { Connection, Refusal } from './connection.ts';

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

/** The fields of the line at a connection's end, in the order they are written; undefined ones are not written. One
 *  literal each, without spreading: a busy node writes tens of thousands a second. */
export function finishedFields({ connection, closed, revoked }: FinishedConnection): LogFields {
  const refusal = connection.refusal ?? revoked;
  const error = refusal?.message ?? describeClose(closed.reason, closed.detail);
  const inbound = connection.direction === 'inbound';
  return {
    ...partyFields(connection),
    bytes_sent: inbound ? closed.bytesReceived : closed.bytesSent,
    bytes_recv: inbound ? closed.bytesSent : closed.bytesReceived,
    duration: `${Math.round(closed.durationMs)}ms`,
    error,
    reason: error === undefined ? undefined : (refusal?.reason ?? closed.reason),
    policy: revoked === undefined ? connection.policy : revoked.policy,
    dry_run_denied_by: connection.dryRun?.join(','),
    trace_id: connection.traceId,
  };
}

/** Bytes are counted as the pod's own application sees them: what it sent, what it received. Identities are named only
 *  where TLS has shown them, or capture where there is no wire. */
function partyFields(connection: Connection): LogFields {
  const { source, destination, hboneAddress, service, security, direction } = connection;
  const proven = security !== 'plaintext';
  const from = source.workload;
  const to = destination.workload;
  return {
    'src.addr': formatSocketAddress(source.address),
    'src.workload': from?.name ?? source.baggage?.workloadName,
    'src.namespace': from?.namespace ?? source.baggage?.namespace,
    'src.identity': proven ? source.identity : undefined,
    'src.cluster': from?.clusterId ?? source.baggage?.cluster,
    'dst.addr': formatSocketAddress(hboneAddress ?? destination.address),
    'dst.hbone_addr': hboneAddress === undefined ? undefined : formatSocketAddress(destination.address),
    'dst.service': service?.hostname,
    'dst.workload': to?.name ?? destination.baggage?.workloadName,
    'dst.namespace': to?.namespace ?? destination.baggage?.namespace,
    'dst.identity': proven ? destination.identity : undefined,
    'dst.cluster': to?.clusterId ?? destination.baggage?.cluster,
    direction,
    connection_security_policy: security === 'same_node' ? security : undefined,
  };
}

const ranks = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

function isLogged(logger: Logger, level: 'debug' | 'info'): boolean {
  return ranks.indexOf(logger.level) <= ranks.indexOf(level);
}
