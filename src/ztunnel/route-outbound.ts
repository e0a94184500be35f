// Where a captured outbound connection goes. The order is Istio's (wire.md 1.11), with two differences: a waypoint that
// is configured but cannot be used refuses the connection, and so does an address that two workloads claim, where one
// of them is enrolled: neither is ever a reason to send plaintext.
import type { IpAddress, SocketAddress } from '../mesh/address.ts';
import { formatSocketAddress } from '../mesh/address.ts';
import type { Endpoint, EndpointQuery } from '../mesh/endpoint.ts';
import type { Service } from '../mesh/service.ts';
import { serviceKey } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { GatewayAddress, Workload } from '../mesh/workload.ts';
import { spiffeIdOf } from '../mesh/workload.ts';
import type { EndpointPicker } from './load-balancer.ts';
import { familyOf } from './load-balancer.ts';
import type { OutboundRoute, RouteContext, WaypointUse } from './route.ts';

export interface OutboundQuery {
  readonly snapshot: MeshSnapshot;
  readonly source: Workload;
  readonly client: SocketAddress;
  readonly originalDst: SocketAddress;
  readonly picker: EndpointPicker;
  /** Where peers listen for tunnels. */
  readonly hbonePort: number;
}

/** Total and synchronous: every connection has a route, if only to be refused. */
export function routeOutbound(query: OutboundQuery): OutboundRoute {
  const { snapshot, source, originalDst } = query;
  const context: RouteContext = { source, originalDst };
  if (source.addresses.includes(originalDst.ip))
    return selfCall(
      context,
      `${formatSocketAddress(originalDst)} is the source itself, and nothing of it but the proxy is captured`,
    );
  if (source.nativeTunnel && originalDst.port === query.hbonePort)
    return { kind: 'plain', context, to: originalDst, cause: 'native_tunnel' };
  const service = snapshot.serviceAt(source.network, originalDst.ip);
  if (service !== undefined && service.loadBalancing.mode !== 'passthrough')
    return toService(query, service, { ...context, service });
  return toAddress(query, service === undefined ? context : { ...context, service });
}

function toService(query: OutboundQuery, service: Service, context: RouteContext): OutboundRoute {
  const { snapshot, source, originalDst } = query;
  if (service.waypoint !== undefined && !isInstanceOf(snapshot, source, service.waypoint))
    return toWaypoint(query, service.waypoint, { kind: 'service', service }, context);
  const lookup: EndpointQuery = {
    service,
    servicePort: originalDst.port,
    source,
    ...familyOf(originalDst.ip),
  };
  const endpoint = query.picker.pick(snapshot, lookup, query.client.ip);
  if (endpoint === undefined) {
    const { refusal } = query.picker.endpoints(snapshot, lookup);
    return {
      kind: 'refuse',
      context: refusal === undefined ? context : { ...context, refusal },
      reason: 'no_route',
      message: `service ${serviceKey(service)} has no usable endpoint for port ${originalDst.port}: ${refusal ?? 'no workloads'}`,
    };
  }
  return toWorkload(query.hbonePort, endpoint, service.subjectAltNames, {
    ...context,
    destination: endpoint.workload,
  });
}

function toAddress(query: OutboundQuery, context: RouteContext): OutboundRoute {
  const { snapshot, source, originalDst } = query;
  const claims = snapshot.workloadsAt(source.network, originalDst.ip);
  const workload = claims.length <= 1 ? claims[0] : snapshot.workloadAt(source.network, originalDst.ip);
  if (workload === undefined) {
    const enrolled = claims.filter(speaksHbone);
    if (enrolled.length > 0) return ambiguous(context, claims);
    const cause = context.service === undefined ? 'unknown_destination' : 'passthrough';
    return { kind: 'plain', context, to: originalDst, cause: claims.length > 0 ? 'not_enrolled' : cause };
  }
  const found = { ...context, destination: workload };
  if (originalDst.port === query.hbonePort && speaksHbone(workload))
    return selfCall(found, `${formatSocketAddress(originalDst)} is the proxy of ${workload.uid} itself`);
  const { waypoint } = workload;
  if (waypoint !== undefined && !isInstanceOf(snapshot, source, waypoint))
    return toWaypoint(query, waypoint, { kind: 'workload', workload }, found);
  return toWorkload(query.hbonePort, { workload, ...originalDst }, [], found);
}

function toWorkload(
  hbonePort: number,
  endpoint: Endpoint,
  alternativeIdentities: readonly string[],
  context: RouteContext,
): OutboundRoute {
  const { workload, ip, port } = endpoint;
  const to = { ip, port };
  if (workload.uid === context.source.uid) return { kind: 'plain', context, to, cause: 'own_address' };
  if (!speaksHbone(workload)) return { kind: 'plain', context, to, cause: 'not_enrolled' };
  return {
    kind: 'tunnel',
    context,
    via: { ip, port: hbonePort },
    target: to,
    peer: workload,
    expectedIdentities: [spiffeIdOf(workload), ...alternativeIdentities],
  };
}

function toWaypoint(
  query: OutboundQuery,
  gateway: GatewayAddress,
  configuredOn: WaypointUse['configuredOn'],
  context: RouteContext,
): OutboundRoute {
  const service = waypointService(query.snapshot, gateway);
  const endpoint = waypointEndpoint(query, gateway, service);
  const use: WaypointUse = {
    gateway,
    configuredOn,
    ...(service !== undefined && { service }),
    ...(endpoint !== undefined && { workload: endpoint.workload }),
  };
  if (endpoint === undefined)
    return {
      kind: 'refuse',
      context: { ...context, waypoint: use },
      reason: 'no_waypoint',
      message: `waypoint ${formatGateway(gateway)} has no usable instance`,
    };
  return {
    kind: 'tunnel',
    context: { ...context, waypoint: use },
    via: { ip: endpoint.ip, port: endpoint.port },
    target: query.originalDst,
    peer: endpoint.workload,
    expectedIdentities: [spiffeIdOf(endpoint.workload), ...(service?.subjectAltNames ?? [])],
  };
}

/** An instance of the waypoint: behind its service, or at its address. */
function waypointEndpoint(
  query: OutboundQuery,
  gateway: GatewayAddress,
  service: Service | undefined,
): Endpoint | undefined {
  const { snapshot, source } = query;
  if (service !== undefined) {
    const { hbonePort: port } = gateway;
    const lookup = { service, servicePort: port, defaultPort: port, source };
    const dialled = familyOf(query.originalDst.ip);
    return (
      query.picker.pick(snapshot, { ...lookup, ...dialled }, query.client.ip) ??
      query.picker.pick(snapshot, { ...lookup, ipv6: !dialled.ipv6 }, query.client.ip)
    );
  }
  const { destination } = gateway;
  if (destination.kind !== 'address' || destination.network !== source.network) return undefined;
  const workload = snapshot.workloadAt(destination.network, destination.ip);
  if (workload?.healthy !== true) return undefined;
  return { workload, ip: destination.ip, port: gateway.hbonePort };
}

function waypointService(snapshot: MeshSnapshot, gateway: GatewayAddress): Service | undefined {
  const { destination } = gateway;
  return destination.kind === 'hostname'
    ? snapshot.service(serviceKey(destination))
    : snapshot.serviceAt(destination.network, destination.ip);
}

/** A waypoint's own traffic to what it serves does not pass through it again. */
function isInstanceOf(snapshot: MeshSnapshot, source: Workload, gateway: GatewayAddress): boolean {
  const service = waypointService(snapshot, gateway);
  if (service !== undefined) return source.services.has(serviceKey(service));
  const { destination } = gateway;
  return destination.kind === 'address' && hasAddress(source, destination.network, destination.ip);
}

function hasAddress(workload: Workload, network: string, address: IpAddress): boolean {
  return workload.network === network && workload.addresses.includes(address);
}

/** A pod in the host's network namespace cannot be captured, so nobody listens for it, whatever its record says. */
function speaksHbone(workload: Workload): boolean {
  return workload.tunnelProtocol === 'hbone' && (!workload.hostNetwork || workload.nativeTunnel);
}

function selfCall(context: RouteContext, message: string): OutboundRoute {
  return { kind: 'refuse', context, reason: 'self_call', message };
}

function ambiguous(context: RouteContext, claims: readonly Workload[]): OutboundRoute {
  const names = claims.map((claim) => claim.uid).join(', ');
  return {
    kind: 'refuse',
    context,
    reason: 'no_route',
    message: `${context.originalDst.ip} is claimed by several workloads: ${names}`,
  };
}

/** For people: `shop/waypoint.shop.svc.cluster.local:15008`. */
export function formatGateway({ destination, hbonePort: port }: GatewayAddress): string {
  return destination.kind === 'hostname'
    ? `${serviceKey(destination)}:${port}`
    : formatSocketAddress({ ip: destination.ip, port });
}
