// One event of the engine becomes one decision for it and one record of the connection. Pure: everything that is
// looked at comes in, nothing is sent from here.
import type { Decision } from '../authz/authorize.ts';
import { authorize } from '../authz/authorize.ts';
import type { PolicyConnection } from '../authz/connection.ts';
import type {
  CloseReason,
  ConnectEvent,
  InboundDecision,
  OutboundDecision,
  OutboundEvent,
  PlaintextEvent,
} from '../engine/types.ts';
import type { IpAddress, SocketAddress } from '../mesh/address.ts';
import { formatSocketAddress, isIpv6, parseSocketAddress } from '../mesh/address.ts';
import { peerIdentity } from '../mesh/identity.ts';
import type { PodSettings } from '../mesh/pod-settings.ts';
import { answersDirect } from '../mesh/pod-settings.ts';
import type { Service } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { spiffeIdOf } from '../mesh/workload.ts';
import type { Connection, Party } from './connection.ts';
import type { HeaderList } from './headers.ts';
import {
  formatBaggage,
  forwardedTemplate,
  headerOf,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
  traceparentTemplate,
} from './headers.ts';
import type { EndpointPicker } from './load-balancer.ts';
import { routeConnect, routePlaintext } from './route-inbound.ts';
import { routeOutbound } from './route-outbound.ts';
import type { InboundRoute, OutboundRoute } from './route.ts';

export interface DecisionContext {
  readonly snapshot: MeshSnapshot;
  /** The workload of the pod that the event is about. */
  readonly workload: Workload;
  /** What the controller says of the pod beyond its workload; absent until it has. */
  readonly settings?: PodSettings;
  readonly picker: EndpointPicker;
  /** Whether the engine has a certificate of this SPIFFE id that is valid now. */
  readonly hasIdentity: (identity: string) => boolean;
  readonly hbonePort: number;
  /** Show the application its client's address. */
  readonly keepSourceAddress: boolean;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export interface OutboundOutcome {
  readonly decision: OutboundDecision;
  readonly connection: Connection;
  readonly route: OutboundRoute;
}

export interface InboundOutcome {
  readonly decision: InboundDecision;
  readonly connection: Connection;
}

export function decideOutbound(context: DecisionContext, event: OutboundEvent): OutboundOutcome {
  const { snapshot, workload: source, picker, hbonePort } = context;
  const { client, originalDst } = event;
  const route = routeOutbound({ snapshot, source, client, originalDst, picker, hbonePort });
  const own = spiffeIdOf(source);
  const base = outboundConnection(context, event, route);
  if (route.kind === 'refuse') return refuseOutbound(route, base, route.reason, route.message);
  if (route.kind === 'plain') return { decision: { kind: 'plain', to: route.to }, connection: base, route };
  if (!context.hasIdentity(own))
    return refuseOutbound(route, base, 'identity_error', `there is no valid certificate for ${own}`);
  const { service } = route.context;
  return {
    decision: {
      kind: 'tunnel',
      via: route.via,
      authority: formatSocketAddress(route.target),
      tlsIdentity: own,
      expectedIdentities: route.expectedIdentities,
      headers: [
        ['baggage', formatBaggage(source)],
        ['forwarded', forwardedTemplate(service?.hostname)],
        ['traceparent', traceparentTemplate],
      ],
    },
    connection: {
      ...base,
      security: 'mutual_tls',
      source: { ...base.source, identity: own },
      hboneAddress: route.via,
      traceId: event.trace.slice(0, 32),
    },
    route,
  };
}

export function decideConnect(context: DecisionContext, event: ConnectEvent): InboundOutcome {
  const { snapshot, workload, hbonePort } = context;
  const { local, authority } = event;
  const route = routeConnect({ snapshot, workload, local, authority, hbonePort });
  const traceparent = parseTraceparent(headerOf(event.headers, 'traceparent') ?? '');
  const base: Connection = {
    id: event.id,
    podId: event.podId,
    direction: 'inbound',
    openedMs: context.nowMs,
    security: 'mutual_tls',
    source: tunnelSource(snapshot, workload.network, event),
    destination: inboundDestination(workload, route, local),
    hboneAddress: local,
    ...inboundService(snapshot, workload, route, event.headers),
    ...(traceparent !== undefined && { traceId: traceparent.slice(3, 35) }),
  };
  const { identity } = peerIdentity(event.peerIdentity);
  if (identity === undefined)
    return reject(base, 401, 'denied', `${event.peerIdentity} is no identity of a workload`);
  return admit(context, route, base, { sourceIp: event.peer.ip, sourceIdentity: identity }, [
    ['baggage', formatBaggage(workload)],
  ]);
}

/** The record of a request that was let in by the answer to an earlier one of the same tunnel, with the same authority. */
export function readmit(
  snapshot: MeshSnapshot,
  event: ConnectEvent,
  before: Connection,
  nowMs: number,
): Connection {
  const traceparent = parseTraceparent(headerOf(event.headers, 'traceparent') ?? '');
  const { traceId: _trace, service: named, ...rest } = before;
  const { workload } = before.destination;
  const isNamed = parseSocketAddress(event.authority) === undefined;
  const service = isNamed || workload === undefined ? named : serviceTold(snapshot, workload, event.headers);
  return {
    ...rest,
    id: event.id,
    openedMs: nowMs,
    source: tunnelSource(snapshot, workload?.network ?? '', event),
    ...(service !== undefined && { service }),
    ...(traceparent !== undefined && { traceId: traceparent.slice(3, 35) }),
  };
}

export function decidePlaintext(context: DecisionContext, event: PlaintextEvent): InboundOutcome {
  const { snapshot, workload, hbonePort } = context;
  const { client, originalDst } = event;
  const route = routePlaintext({ workload, client, originalDst, hbonePort });
  const source = snapshot.workloadAt(workload.network, client.ip);
  const base: Connection = {
    id: event.id,
    podId: event.podId,
    direction: 'inbound',
    openedMs: context.nowMs,
    security: 'plaintext',
    source: { address: client, ...(source !== undefined && { workload: source }) },
    destination: inboundDestination(workload, route, originalDst),
    ...inboundService(snapshot, workload, route, []),
  };
  return admit(context, route, base, { sourceIp: client.ip }, []);
}

/** Policies are asked about the place of delivery, after it is known that there is one. */
function admit(
  context: DecisionContext,
  route: InboundRoute,
  base: Connection,
  source: Omit<PolicyConnection, 'destination'>,
  headers: HeaderList,
): InboundOutcome {
  if (route.kind === 'reject') return reject(base, route.status, route.reason, route.message);
  const { snapshot, workload } = context;
  const authorization: PolicyConnection = { ...source, destination: route.to };
  const decision = authorize(snapshot.policiesFor(workload), authorization);
  const connection: Connection = {
    ...base,
    authorization,
    ...(decision.policy !== undefined && { policy: decision.policy }),
    ...(decision.dryRun.length > 0 && { dryRun: decision.dryRun }),
  };
  if (!decision.allow) return reject(connection, 401, 'denied', describeDenial(decision));
  const shown = context.keepSourceAddress && canShow(context, source.sourceIp, route.to);
  return {
    decision: { kind: 'deliver', to: route.to, headers, ...(shown && { source: source.sourceIp }) },
    connection,
  };
}

/** The sentence that ztunnel's users search their logs for. */
export function describeDenial(decision: Decision): string {
  return decision.policy === undefined
    ? 'connection closed due to policy rejection: allow policies exist, but none allowed'
    : `connection closed due to policy rejection: explicitly denied by: ${decision.policy}`;
}

/** A socket to the application can be bound to the client's address only within a family, never to the pod's own, and not
 *  where the pod's answers to that address take the direct way. */
function canShow({ workload, settings }: DecisionContext, source: IpAddress, to: SocketAddress): boolean {
  if (isIpv6(source) !== isIpv6(to.ip) || source === to.ip || workload.addresses.includes(source))
    return false;
  return settings === undefined || !answersDirect(settings, source, to.port);
}

function outboundConnection(
  context: DecisionContext,
  event: OutboundEvent,
  route: OutboundRoute,
): Connection {
  const { service, destination } = route.context;
  const peer = route.kind === 'tunnel' ? route.peer : destination;
  const address =
    route.kind === 'tunnel' ? route.target : route.kind === 'plain' ? route.to : event.originalDst;
  return {
    id: event.id,
    podId: event.podId,
    direction: 'outbound',
    openedMs: context.nowMs,
    security: 'plaintext',
    source: { address: event.client, workload: context.workload },
    destination: {
      address,
      ...(peer !== undefined && { workload: peer }),
      ...(route.kind === 'tunnel' && { identity: route.expectedIdentities[0] ?? '' }),
    },
    ...(service !== undefined && { service }),
  };
}

function refuseOutbound(
  route: OutboundRoute,
  base: Connection,
  reason: CloseReason,
  message: string,
): OutboundOutcome {
  const connection = { ...base, refusal: { reason, message } };
  return { decision: { kind: 'refuse', reason }, connection, route };
}

function reject(base: Connection, status: number, reason: CloseReason, message: string): InboundOutcome {
  return {
    decision: { kind: 'reject', status, reason },
    connection: { ...base, refusal: { reason, message } },
  };
}

/** Who is at the other end of a tunnel. The address only names a workload if the certificate agrees; what the peer says
 *  of itself is used where it does not. The client's port is the one it tells us of. */
function tunnelSource(snapshot: MeshSnapshot, network: string, event: ConnectEvent): Party {
  const { peer } = event;
  const identity = peerIdentity(event.peerIdentity).uri;
  const at = snapshot.workloadAt(network, peer.ip);
  const workload = at !== undefined && spiffeIdOf(at) === identity ? at : undefined;
  const told = parseForwarded(headerOf(event.headers, 'forwarded') ?? '').source;
  const address = told !== undefined && told.ip === peer.ip ? told : peer;
  if (workload !== undefined) return { address, identity, workload };
  return { address, identity, baggage: parseBaggage(headerOf(event.headers, 'baggage') ?? '') };
}

/** The same record for a workload's connections to the same place, as they mostly are. */
function inboundDestination(workload: Workload, route: InboundRoute, dialled: SocketAddress): Party {
  const address = route.kind === 'deliver' ? route.to : dialled;
  const last = lastDestinations.get(workload);
  if (last?.address.port === address.port && last.address.ip === address.ip) return last;
  const destination: Party = { address, workload, identity: spiffeIdOf(workload) };
  lastDestinations.set(workload, destination);
  return destination;
}

const lastDestinations = new WeakMap<Workload, Party>();

/** The service for telemetry: the one named, or the one told. */
function inboundService(
  snapshot: MeshSnapshot,
  workload: Workload,
  route: InboundRoute,
  headers: HeaderList,
): Pick<Connection, 'service'> {
  if (route.kind !== 'deliver') return {};
  if (route.service !== undefined) return { service: route.service };
  const service = serviceTold(snapshot, workload, headers);
  return service === undefined ? {} : { service };
}

/** The service that the peer says was dialled, or the only one of the workload. */
function serviceTold(snapshot: MeshSnapshot, workload: Workload, headers: HeaderList): Service | undefined {
  const host = parseForwarded(headerOf(headers, 'forwarded') ?? '').host;
  const keys = [...workload.services.keys()];
  const key =
    host !== undefined
      ? keys.find((each) => each.endsWith(`/${host}`))
      : keys.length === 1
        ? keys[0]
        : undefined;
  return key === undefined ? undefined : snapshot.service(key);
}
