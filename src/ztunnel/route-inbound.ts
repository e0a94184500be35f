// Where a connection that arrived in a pod is delivered: to the pod itself and nowhere else. The authority of a CONNECT
// is a peer's input; a peer with a valid certificate is still not allowed to name another host through this one.
import type { SocketAddress } from '../mesh/address.ts';
import { formatSocketAddress, isIpv6, isLoopback, parseSocketAddress } from '../mesh/address.ts';
import { targetPort } from '../mesh/endpoint.ts';
import { serviceKey } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { InboundRoute } from './route.ts';

export interface ConnectQuery {
  readonly snapshot: MeshSnapshot;
  /** The workload of the pod in which the tunnel ends. */
  readonly workload: Workload;
  /** The address the peer dialled. */
  readonly local: SocketAddress;
  readonly authority: string;
  /** The proxy's own port, which nothing is delivered to. */
  readonly hbonePort: number;
}

/** The target of a CONNECT: 400 for what is not served here, 503 for what cannot be found. */
export function routeConnect(query: ConnectQuery): InboundRoute {
  const { workload, local, authority } = query;
  if (workload.applicationTunnel?.protocol === 'proxy')
    return reject(503, 'no_route', `${workload.uid} wants the PROXY protocol, which is not spoken here`);
  const address = parseSocketAddress(authority);
  if (address === undefined) return routeHostname(query);
  if (isLoopback(address.ip))
    return reject(400, 'bad_request', `authority ${authority} is a loopback address`);
  if (address.ip !== local.ip && !workload.addresses.includes(address.ip))
    return reject(400, 'bad_request', `authority ${authority} is not served by ${workload.uid}`);
  return deliver(workload, address, query.hbonePort);
}

export interface PlaintextQuery {
  readonly workload: Workload;
  readonly client: SocketAddress;
  readonly originalDst: SocketAddress;
  readonly hbonePort: number;
}

/** The target of a connection without a tunnel: what it dialled. */
export function routePlaintext(query: PlaintextQuery): InboundRoute {
  const { workload, client, originalDst } = query;
  if (isLoopback(originalDst.ip) || isLoopback(client.ip))
    return reject(400, 'bad_request', `${formatSocketAddress(originalDst)} was dialled over loopback`);
  // Traffic of the pod with itself never comes here, unless it dialled the listener's own port.
  if (workload.addresses.includes(client.ip))
    return reject(503, 'self_call', `${workload.uid} dialled its own proxy`);
  return deliver(workload, originalDst, query.hbonePort);
}

/** `cart.shop.svc.cluster.local:80`: a service of which this workload is an endpoint. */
function routeHostname(query: ConnectQuery): InboundRoute {
  const { snapshot, workload, local, authority } = query;
  const match = /^([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):([0-9]{1,5})$/.exec(authority);
  const [, hostname = '', digits = ''] = match ?? [];
  const port = Number(digits);
  if (match === null || port === 0 || port > 65535 || /^[0-9.]+$/.test(hostname))
    return reject(400, 'bad_request', `authority ${JSON.stringify(authority.slice(0, 128))} is malformed`);
  const service = snapshot
    .servicesNamed(hostname.toLowerCase(), workload.namespace)
    .find((each) => workload.services.has(serviceKey(each)));
  if (service === undefined)
    return reject(503, 'no_route', `${workload.uid} is no endpoint of a service named ${hostname}`);
  const target = targetPort(workload, service, port);
  const ip =
    workload.addresses.find((address) => address === local.ip) ??
    workload.addresses.find((address) => isIpv6(address) === isIpv6(local.ip)) ??
    local.ip;
  if (target === undefined)
    return reject(503, 'no_route', `service ${serviceKey(service)} has no port ${port} on ${workload.uid}`);
  const route = deliver(workload, { ip, port: target }, query.hbonePort);
  return route.kind === 'deliver' ? { ...route, service } : route;
}

function deliver(destination: Workload, to: SocketAddress, hbonePort: number): InboundRoute {
  if (to.port === hbonePort && !destination.nativeTunnel)
    return reject(503, 'self_call', `port ${to.port} of ${destination.uid} is the proxy itself`);
  return { kind: 'deliver', destination, to };
}

function reject(
  status: number,
  reason: 'bad_request' | 'no_route' | 'self_call',
  message: string,
): InboundRoute {
  return { kind: 'reject', status, reason, message };
}
