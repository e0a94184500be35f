// When both pods are captured on this node, this process holds both identities and both sockets: it authorizes as the two
// ends of a tunnel would, and then joins the sockets. What TLS would have shown is known beforehand or the tunnel is
// taken, so that whatever is amiss fails as it does between nodes. Pure.
import type { ConnectEvent, InboundDecision, OutboundDecision, OutboundEvent } from '../engine/types.ts';
import type { IpAddress } from '../mesh/address.ts';
import { isIpv6 } from '../mesh/address.ts';
import { formatIdentity, parseIdentity } from '../mesh/identity.ts';
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { Workload } from '../mesh/workload.ts';
import { identityOf } from '../mesh/workload.ts';
import type { Connection } from './connection.ts';
import type { DecisionContext } from './decide.ts';
import { decideConnect, decideOutbound } from './decide.ts';
import { filledTemplates } from './headers.ts';
import type { OutboundRoute } from './route.ts';

/** A pod of this node that is captured and takes connections. */
export interface LocalPod {
  readonly podId: string;
  readonly workload: Workload;
  readonly settings?: PodSettings;
  /** SPIFFE id that it proves to those who dial its HBONE port. */
  readonly identity: string;
}

export interface DirectContext extends DecisionContext {
  /** The pod of this node that serves a workload; undefined if there is none that takes connections. */
  readonly localPod: (workload: Workload) => LocalPod | undefined;
}

export interface DirectOutcome {
  readonly decision: OutboundDecision;
  /** As the source's end remembers it. */
  readonly connection: Connection;
  /** As the destination's end remembers it; absent if the destination's pod is not of this node. */
  readonly peer?: Connection;
}

/** As `decideOutbound`, but two pods of this node are joined. */
export function decideOutboundDirect(context: DirectContext, event: OutboundEvent): DirectOutcome {
  const { decision, connection, route } = decideOutbound(context, event);
  if (decision.kind !== 'tunnel' || route.kind !== 'tunnel') return { decision, connection };
  const target = joinableWith(route, context);
  const peerIp = addressSeen(context.workload, event.client.ip, route.via.ip);
  if (target === undefined || peerIp === undefined) return { decision, connection };
  const request: ConnectEvent = {
    kind: 'connect',
    id: event.id,
    podId: target.podId,
    peer: { ip: peerIp, port: event.client.port },
    local: route.via,
    peerIdentity: decision.tlsIdentity,
    authority: decision.authority,
    headers: filledTemplates(decision.headers, event.client, event.trace),
  };
  const { snapshot, picker, hasIdentity, hbonePort, keepSourceAddress, nowMs } = context;
  const shared = { snapshot, picker, hasIdentity, hbonePort, keepSourceAddress, nowMs };
  const { workload, settings } = target;
  const answer = decideConnect({ ...shared, workload, ...(settings !== undefined && { settings }) }, request);
  return {
    decision: joined(target.podId, answer.decision),
    connection: withoutTunnel(connection),
    peer: withoutTunnel(answer.connection),
  };
}

/** The pod that a tunnel's two ends would have agreed on, each with a certificate that the other takes. Undefined if
 *  there is no such pod here, or a waypoint is to be passed. */
export function joinableWith(
  route: OutboundRoute,
  context: Pick<DirectContext, 'localPod' | 'hasIdentity'>,
): LocalPod | undefined {
  if (route.kind !== 'tunnel' || route.context.waypoint !== undefined) return undefined;
  const target = context.localPod(route.peer);
  if (target === undefined || !context.hasIdentity(target.identity)) return undefined;
  if (!route.expectedIdentities.includes(target.identity)) return undefined;
  const source = identityOf(route.context.source);
  if (parseIdentity(target.identity)?.trustDomain !== source.trustDomain) return undefined;
  return context.hasIdentity(formatIdentity(source)) ? target : undefined;
}

/** What the client would have been told of the answer to its CONNECT. */
function joined(podId: string, answer: InboundDecision): OutboundDecision {
  if (answer.kind === 'deliver') {
    const { to, source } = answer;
    return { kind: 'direct', podId, to, ...(source !== undefined && { source }) };
  }
  const { status } = answer;
  const reason = status === 401 ? 'denied' : status === 503 ? 'connect_failed' : 'peer_status';
  return { kind: 'refuse', reason, status };
}

/** The address that a tunnel of this workload to `via` comes from. */
function addressSeen(source: Workload, client: IpAddress, via: IpAddress): IpAddress | undefined {
  const usable = source.addresses.filter((address) => isIpv6(address) === isIpv6(via));
  return usable.find((address) => address === client) ?? usable[0];
}

function withoutTunnel(connection: Connection): Connection {
  const { hboneAddress: _none, ...rest } = connection;
  return { ...rest, security: 'same_node' };
}
