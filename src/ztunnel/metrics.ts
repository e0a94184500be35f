// What the node proxy counts. A connection looks up its label sets once, through its flow (who to whom, how), and then
// only adds; the number of label sets is bounded by the metrics themselves, that of remembered flows here.
import type { CloseReason } from '../engine/types.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Counter, Family, LabelValues, Metrics } from '../runtime/metrics.ts';
import { responseFlag } from './close-reason.ts';
import type { Connection, Party } from './connection.ts';

const partyLabels = [
  'workload',
  'canonical_service',
  'canonical_revision',
  'workload_namespace',
  'principal',
  'app',
  'version',
  'cluster',
  'region',
  'zone',
] as const;
type PartyLabel = (typeof partyLabels)[number];

type Label =
  | 'reporter'
  | `source_${PartyLabel}`
  | `destination_${PartyLabel}`
  | 'destination_service'
  | 'destination_service_namespace'
  | 'destination_service_name'
  | 'request_protocol'
  | 'response_flags'
  | 'connection_security_policy';

const labels: readonly Label[] = [
  'reporter',
  ...partyLabels.map((label) => `source_${label}` as const),
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  ...partyLabels.map((label) => `destination_${label}` as const),
  'request_protocol',
  'response_flags',
  'connection_security_policy',
];

/** The counters of connections between the same two, the same way. */
export interface Flow {
  readonly opened: Counter;
  readonly closed: Counter;
  /** From the target towards the initiator (Istio: "during response"). */
  readonly sentBytes: Counter;
  /** From the initiator towards the target. */
  readonly receivedBytes: Counter;
  failed(reason: CloseReason, detail: number): void;
}

interface KnownFlow {
  readonly connection: Connection;
  readonly flow: Flow;
}

const flowsMaxDefault = 10_000;

export class ConnectionMetrics {
  readonly #opened: Family<Label, Counter>;
  readonly #closed: Family<Label, Counter>;
  readonly #sent: Family<Label, Counter>;
  readonly #received: Family<Label, Counter>;
  readonly #failed: Family<Label, Counter>;
  readonly #denials: Family<'policy', Counter>;
  readonly #dryRunDenials: Family<'policy', Counter>;
  readonly #flowsMax: number;
  /** By source, then by destination. */
  #flows = new Map<Workload | string, Map<Workload | string, KnownFlow[]>>();
  #flowsKnown = 0;

  constructor(metrics: Metrics, options: { readonly flowsMax?: number } = {}) {
    const counter = (name: string, help: string): Family<Label, Counter> =>
      metrics.counter({ name: `istio_tcp_${name}_total`, help, labels });
    this.#opened = counter('connections_opened', 'TCP connections opened.');
    this.#closed = counter('connections_closed', 'TCP connections closed, of those opened.');
    this.#sent = counter('sent_bytes', 'Bytes sent in answer, from the destination to the source.');
    this.#received = counter('received_bytes', 'Bytes received, from the source to the destination.');
    this.#failed = counter('connections_failed', 'TCP connections refused, failed, or cut by policy.');
    this.#denials = metrics.counter({
      name: 'culvert_policy_denials_total',
      help: 'Connections denied, by the policy that did; `none_allowed` where no ALLOW policy matched.',
      labels: ['policy'],
    });
    this.#dryRunDenials = metrics.counter({
      name: 'culvert_policy_dry_run_denials_total',
      help: 'Connections that a dry-run policy would have denied.',
      labels: ['policy'],
    });
    this.#flowsMax = options.flowsMax ?? flowsMaxDefault;
  }

  /** The counters of a connection's flow, which the connection then holds. */
  flowOf(connection: Connection): Flow {
    const variants = this.#variantsOf(connection);
    const known = variants.find((each) => isSameFlow(each.connection, connection));
    if (known !== undefined) return known.flow;
    const flow = this.#flow(connection);
    this.#flowsKnown += 1;
    variants.push({ connection, flow });
    return flow;
  }

  /** The flows between the same two: they differ in service and direction, so there are few. */
  #variantsOf({ source, destination }: Connection): KnownFlow[] {
    // Forgotten all at once: a flow is found again by its labels.
    if (this.#flowsKnown >= this.#flowsMax) [this.#flows, this.#flowsKnown] = [new Map(), 0];
    const from = partyKey(source);
    let targets = this.#flows.get(from);
    if (targets === undefined) this.#flows.set(from, (targets = new Map()));
    const to = partyKey(destination);
    let variants = targets.get(to);
    if (variants === undefined) targets.set(to, (variants = []));
    return variants;
  }

  denied(policy: string | undefined): void {
    this.#denials.child({ policy: policy ?? 'none_allowed' }).inc();
  }

  wouldDeny(policies: readonly string[]): void {
    for (const policy of policies) this.#dryRunDenials.child({ policy }).inc();
  }

  #flow(connection: Connection): Flow {
    const plain = labelsOf(connection, '-');
    return {
      opened: this.#opened.child(plain),
      closed: this.#closed.child(plain),
      sentBytes: this.#sent.child(plain),
      receivedBytes: this.#received.child(plain),
      failed: (reason, detail) =>
        this.#failed.child({ ...plain, response_flags: responseFlag(reason, detail) }).inc(),
    };
  }
}

/** The label values of a connection, `unknown` where nothing is known. */
export function labelsOf(connection: Connection, responseFlags: string): LabelValues<Label> {
  const { service } = connection;
  return {
    reporter: connection.direction === 'outbound' ? 'source' : 'destination',
    ...partyLabelsOf('source', connection.source),
    destination_service: known(service?.hostname),
    destination_service_namespace: known(service?.namespace),
    destination_service_name: known(service?.name),
    ...partyLabelsOf('destination', connection.destination),
    request_protocol: 'tcp',
    response_flags: responseFlags,
    connection_security_policy: connection.security === 'plaintext' ? 'unknown' : connection.security,
  };
}

function partyLabelsOf<P extends 'source' | 'destination'>(
  prefix: P,
  { workload, baggage, identity }: Party,
): Record<`${P}_${PartyLabel}`, string> {
  const service = workload?.canonicalName ?? baggage?.canonicalName;
  const revision = workload?.canonicalRevision ?? baggage?.canonicalRevision;
  const values: Record<PartyLabel, string | undefined> = {
    workload: workload?.workloadName ?? baggage?.workloadName,
    canonical_service: service,
    canonical_revision: revision,
    workload_namespace: workload?.namespace ?? baggage?.namespace,
    principal: identity,
    app: service,
    version: revision,
    cluster: workload?.clusterId ?? baggage?.cluster,
    region: workload?.locality.region ?? baggage?.region,
    zone: workload?.locality.zone ?? baggage?.zone,
  };
  const entries = partyLabels.map((label) => [`${prefix}_${label}`, known(values[label])]);
  return Object.fromEntries(entries) as Record<`${P}_${PartyLabel}`, string>;
}

function known(value: string | undefined): string {
  return value === undefined || value === '' ? 'unknown' : value;
}

/** A known workload by its record, another party by all that is known of it. */
function partyKey({ workload, identity = '', baggage }: Party): Workload | string {
  return workload ?? (baggage === undefined ? identity : `${identity} ${Object.values(baggage).join(' ')}`);
}

/** The same records, not only the same names: labels come from what is in them. */
function isSameFlow(a: Connection, b: Connection): boolean {
  return (
    a.direction === b.direction &&
    a.security === b.security &&
    a.source.workload === b.source.workload &&
    a.source.identity === b.source.identity &&
    a.destination.workload === b.destination.workload &&
    a.destination.identity === b.destination.identity &&
    a.service === b.service
  );
}
