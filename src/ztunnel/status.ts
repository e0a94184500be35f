// The state of a node in brief: what `culvert status` shows.
import { formatHostPort } from '../runtime/settings.ts';
import { queueFill } from './gauges.ts';
import type { Ztunnel } from './ztunnel.ts';

export interface StatusReport {
  readonly node: string;
  readonly version: string;
  readonly startedMs: number;
  readonly ready: boolean;
  readonly pending: readonly string[];
  readonly xds: {
    readonly connected: boolean;
    readonly address: string;
    readonly lastUpdateMs?: number;
    readonly lastError?: string;
    readonly resources: Readonly<Record<string, number>>;
    readonly nacks: number;
  };
  /** The program that keeps this one's listeners; absent without one. */
  readonly holder?: {
    readonly pid: number;
    /** How often it has started a process because one had died, when this one started. */
    readonly restarts: number;
    readonly pods: number;
    readonly podsMax: number;
  };
  readonly pods: readonly PodStatus[];
  readonly certificates: readonly CertificateReport[];
  readonly counters: Readonly<Record<string, number>>;
  readonly limits: Readonly<Record<string, { readonly used: number; readonly max: number }>>;
}

export interface PodStatus {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly identity: string;
  readonly phase: string;
  readonly detail: string;
  readonly captured: boolean;
  readonly adopted: boolean;
  readonly faults: readonly string[];
  readonly connections: number;
  /** Connections older than capture that are still open. */
  readonly olderConnections: number;
  /** What capture did with its connections since it was first captured, by outcome. */
  readonly capture: Readonly<Record<string, number>>;
}

export interface CertificateReport {
  readonly identity: string;
  readonly state: 'valid' | 'pending' | 'failed' | 'expired';
  readonly notAfterMs?: number;
  readonly serial?: string;
  readonly error?: string;
}

function holderOf({ options: { handover } }: Ztunnel): Pick<StatusReport, 'holder'> {
  if (handover?.facts === undefined) return {};
  const { pid, restarts, podsMax } = handover.facts;
  return { holder: { pid, restarts, pods: handover.size, podsMax } };
}

export function statusOf(ztunnel: Ztunnel, version: string): StatusReport {
  const { settings, readiness } = ztunnel.options;
  const { state, resources, nacks, lastError } = ztunnel.control.status();
  const { lastUpdateMs } = ztunnel.mesh;
  const stats = ztunnel.engine.stats();
  return {
    node: settings.node,
    version,
    startedMs: ztunnel.startedMs,
    ready: readiness.ready,
    pending: readiness.pending,
    xds: {
      connected: state === 'connected',
      address: formatHostPort(settings.xdsAddress),
      ...(lastUpdateMs !== undefined && { lastUpdateMs }),
      ...(lastError !== undefined && { lastError }),
      resources,
      nacks,
    },
    ...holderOf(ztunnel),
    pods: [...ztunnel.pods.views()].map((view) => ({
      uid: view.announcement.uid,
      name: view.announcement.name,
      namespace: view.announcement.namespace,
      addresses: ztunnel.workloadOf(view.announcement.uid)?.addresses ?? [],
      identity: view.identity ?? '',
      phase: view.phase,
      detail: view.detail,
      captured: view.phase === 'running',
      adopted: view.adopted,
      faults: view.faults.map((fault) => `${fault.what}: ${fault.detail}`),
      connections: ztunnel.table.countOf(view.announcement.uid),
      olderConnections: view.keptConnections,
      capture: view.counters,
    })),
    certificates: certificatesOf(ztunnel),
    counters: {
      connections: stats.connections,
      tunnels_inbound: stats.tunnelsInbound,
      tunnels_outbound: stats.tunnelsOutbound,
      capture_mended: ztunnel.pods.mended,
      ...stats.counters,
    },
    limits: queueFill(ztunnel, stats),
  };
}

export function certificatesOf(ztunnel: Ztunnel): readonly CertificateReport[] {
  const now = ztunnel.options.clock.now();
  return ztunnel.identities.list().map(({ identity, state, serial, notAfterMs, lastError }) => ({
    identity,
    state: certificateState(state, notAfterMs, now),
    ...(notAfterMs !== undefined && { notAfterMs }),
    ...(serial !== undefined && { serial }),
    ...(lastError !== undefined && { error: lastError }),
  }));
}

function certificateState(
  state: string,
  notAfterMs: number | undefined,
  nowMs: number,
): CertificateReport['state'] {
  if (notAfterMs === undefined) return state === 'failed' ? 'failed' : 'pending';
  return notAfterMs > nowMs ? 'valid' : 'expired';
}
