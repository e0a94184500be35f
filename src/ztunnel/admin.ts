// What the node proxy answers its operator, beside what every process does.
import { formatSocketAddress } from '../mesh/address.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { EndpointResponse, EndpointRoute } from '../runtime/admin-server.ts';
import { jsonResponse } from '../runtime/admin-server.ts';
import { messageOf } from '../runtime/errors.ts';
import { finishedFields } from './access-log.ts';
import type { Connection } from './connection.ts';
import type { LiveConnection } from './connection-table.ts';
import { joinableWith } from './decide-direct.ts';
import { ZtunnelError } from './errors.ts';
import { LoadBalancer } from './load-balancer.ts';
import { resolveDestination, resolveWorkload } from './resolve-reference.ts';
import { certificatesOf, statusOf } from './status.ts';
import type { WhyReport } from './why.ts';
import { explainWhy } from './why.ts';
import type { Ztunnel } from './ztunnel.ts';

export function adminRoutes(ztunnel: Ztunnel, version = ''): readonly EndpointRoute[] {
  const get = (path: string, summary: string, answer: () => unknown): EndpointRoute => ({
    method: 'GET',
    path,
    summary,
    handle: () => jsonResponse(answer()),
  });
  return [
    get('/status', 'pods, certificates, controller and counters', () => statusOf(ztunnel, version)),
    get('/connections', 'live connections with their bytes, and those that ended last', () =>
      connectionsOf(ztunnel),
    ),
    get('/config_dump', 'everything decisions are made from; no private keys', () => configDump(ztunnel)),
    {
      method: 'GET',
      path: '/why',
      summary: '?source=<ns/pod|uid|ip>&destination=<host|ip|ns/svc|ns/pod>:<port>: each step of a decision',
      handle: ({ query }) => {
        const source = query.get('source');
        const destination = query.get('destination');
        if (source === null || destination === null)
          return jsonResponse(
            { code: 'ERR_CULVERT_WHY_UNKNOWN', message: 'give source and destination' },
            400,
          );
        try {
          return jsonResponse(why(ztunnel, source, destination));
        } catch (error) {
          if (!(error instanceof ZtunnelError)) throw error;
          return jsonResponse({ code: error.code, message: messageOf(error) }, 404);
        }
      },
    },
    {
      method: 'POST',
      path: '/connections/close',
      summary: '?id=<id> or ?pod=<uid>: resets live connections',
      handle: ({ query }) => {
        const [id, pod] = [query.get('id'), query.get('pod')];
        const ids = [...ztunnel.table.live()]
          .map(({ connection }) => connection)
          .filter((each) => (id !== null && String(each.id) === id) || (pod !== null && each.podId === pod))
          .map((each) => each.id);
        // Both ends of one between two pods of this node have the same id.
        const connections = [...new Set(ids)];
        ztunnel.closeConnections(connections);
        return jsonResponse({ closed: connections.length });
      },
    },
    {
      method: 'POST',
      path: '/connections/close-older',
      summary: '?pod=<uid|ns/name>: resets the connections of a pod that are older than its capture',
      handle: ({ query }) => closeOlder(ztunnel, query.get('pod') ?? ''),
    },
  ];
}

function closeOlder(ztunnel: Ztunnel, name: string): EndpointResponse {
  const uid = [...ztunnel.pods.views()]
    .map(({ announcement }) => announcement)
    .find((pod) => pod.uid === name || `${pod.namespace}/${pod.name}` === name)?.uid;
  const closed = uid === undefined ? undefined : ztunnel.pods.closeKept(uid);
  if (closed === undefined)
    return jsonResponse(
      {
        code: 'ERR_CULVERT_POD_UNKNOWN',
        message: uid === undefined ? `this node has no pod "${name}"` : `${name} is not captured`,
      },
      404,
    );
  return jsonResponse({ closed });
}

/** Runs the real decision functions on the live snapshot. Throws ERR_CULVERT_WHY_UNKNOWN. */
export function why(ztunnel: Ztunnel, sourceText: string, destinationText: string): WhyReport {
  const { snapshot, options } = ztunnel;
  const { settings, clock } = options;
  const source = resolveWorkload(snapshot, settings.network, sourceText);
  const destination = resolveDestination(snapshot, source.workload, destinationText);
  const pod = [...ztunnel.pods.views()].find((view) => view.settings?.uid === source.workload.uid);
  return explainWhy({
    snapshot,
    source: source.workload,
    originalDst: destination.address,
    sourceFound: source.found,
    destinationFound: destination.found,
    sourceCapture: pod,
    sourceHasCertificate: pod?.identity === undefined ? undefined : ztunnel.identities.has(pod.identity),
    // A balancer of its own: a question must not move the affinity of a client.
    picker: new LoadBalancer({ clock, random: () => 0.5 }),
    hbonePort: settings.hbonePort,
    joined: (route) =>
      settings.sameNode === 'direct' &&
      pod !== undefined &&
      joinableWith(route, {
        localPod: (workload) => ztunnel.localPod(workload),
        hasIdentity: (identity) => ztunnel.identities.has(identity),
      }) !== undefined,
  });
}

function connectionsOf(ztunnel: Ztunnel): unknown {
  const now = ztunnel.options.clock.now();
  return {
    live: [...ztunnel.table.live()].map((live) => liveView(ztunnel, live, now)),
    recent: ztunnel.table.recent.map((finished) => {
      const { connection, closed, revoked } = finished;
      const refusal = connection.refusal ?? revoked;
      return {
        ...view(connection),
        endedMs: connection.openedMs + closed.durationMs,
        bytesSent: closed.bytesSent,
        bytesReceived: closed.bytesReceived,
        durationMs: closed.durationMs,
        reason: refusal?.reason ?? closed.reason,
        allowed: refusal === undefined,
        policy: (revoked === undefined ? connection.policy : revoked.policy) ?? null,
        error: finishedFields(finished)['error'] ?? null,
      };
    }),
  };
}

function liveView(ztunnel: Ztunnel, live: LiveConnection, nowMs: number): unknown {
  const { connection, connectedMs, tunnelId } = live;
  const bytes = ztunnel.engine.liveBytes(connection.id);
  return {
    ...view(connection),
    state: connectedMs === undefined ? 'opening' : 'open',
    tunnelId: tunnelId ?? null,
    bytesSent: bytes?.bytesSent ?? 0,
    bytesReceived: bytes?.bytesReceived ?? 0,
    durationMs: Math.max(0, nowMs - connection.openedMs),
    policy: connection.policy ?? null,
  };
}

/** `bytesSent` is from the initiator to the target, in both directions of view. */
function view(connection: Connection): object {
  const { id, podId, direction, security, openedMs, source, destination, hboneAddress, service } = connection;
  const party = ({ address, workload, identity, baggage }: Connection['source']): object => ({
    address: formatSocketAddress(address),
    workload: workload?.name ?? baggage?.workloadName ?? null,
    namespace: workload?.namespace ?? baggage?.namespace ?? null,
    identity: identity ?? null,
  });
  return {
    id,
    podId,
    direction,
    security,
    openedMs,
    source: party(source),
    destination: party(destination),
    hboneAddress: hboneAddress === undefined ? null : formatSocketAddress(hboneAddress),
    service: service?.hostname ?? null,
    dryRunDeniedBy: connection.dryRun ?? [],
    traceId: connection.traceId ?? null,
  };
}

/** Records as decisions see them. Private keys are not reachable from here; tokens are read elsewhere. */
export function configDump(ztunnel: Ztunnel): unknown {
  const { snapshot, options } = ztunnel;
  return {
    generation: snapshot.generation,
    settings: options.settings,
    xds: ztunnel.control.status(),
    workloads: [...snapshot.workloads.values()].map((workload) => ({
      ...workload,
      identity: formatIdentity(workload),
    })),
    services: [...snapshot.services.values()],
    policies: [...snapshot.policies.values()],
    pods: [...ztunnel.pods.views()],
    certificates: certificatesOf(ztunnel),
  };
}
