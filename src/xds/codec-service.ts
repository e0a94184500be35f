// A service, as the mesh keeps it and as istio.workload.Service carries it.
import { create } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import type { AppProtocol, LoadBalancing, LocalityScope, Service } from '../mesh/service.ts';
import type { GatewayAddress } from '../mesh/workload.ts';
import { decodeGateway, decodeNetworkAddress, encodeGateway, encodeNetworkAddress } from './codec-address.ts';
import { enumValue, portValue } from './decoded.ts';
import { FieldError } from './errors.ts';
import { SessionAffinitySchema } from './generated/culvert/node/extension_pb.ts';
import type * as wire from './generated/istio/workload/workload_pb.ts';
import {
  ExtensionSchema,
  LoadBalancing_HealthPolicy,
  LoadBalancingSchema,
  PortSchema,
  ServiceSchema,
} from './generated/istio/workload/workload_pb.ts';

const appProtocols: readonly AppProtocol[] = ['unknown', 'http11', 'http2', 'grpc', 'tcp', 'tls'];
const modes: readonly LoadBalancing['mode'][] = ['any', 'strict', 'failover', 'passthrough'];
const scopes: readonly (LocalityScope | undefined)[] = [
  undefined,
  'region',
  'zone',
  'subzone',
  'node',
  'cluster',
  'network',
];
const healthPolicies: readonly ('ready' | 'all')[] = ['ready', 'all'];

const affinityExtension = 'culvert.dev/session-affinity';

/** Throws FieldError for what matters and cannot be understood; an unknown application protocol is 'unknown'. */
export function decodeService(message: wire.Service): Service {
  if (message.hostname === '') throw new FieldError('hostname', 'is empty');
  const waypoint = decodeWaypoint(message);
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    addresses: message.addresses.map((address) => decodeNetworkAddress('addresses', address)),
    ports: message.ports.map((port) => ({
      servicePort: portValue('ports', port.servicePort),
      targetPort: portValue('ports', port.targetPort, 0),
      appProtocol: appProtocols[port.appProtocol] ?? 'unknown',
    })),
    loadBalancing: decodeLoadBalancing(message),
    ...(waypoint !== undefined && { waypoint }),
    subjectAltNames: message.subjectAltNames,
    canonical: message.canonical,
  };
}

/** With weighted waypoints alone the heaviest one counts: a service that has waypoints is never reached around them. */
function decodeWaypoint(message: wire.Service): GatewayAddress | undefined {
  if (message.waypoint !== undefined) return decodeGateway('waypoint', message.waypoint);
  const weighted = message.weightedWaypoints.toSorted((a, b) => b.weight - a.weight)[0];
  if (weighted === undefined) return undefined;
  if (weighted.destination === undefined)
    throw new FieldError('weighted_waypoints.destination', 'is missing');
  return decodeGateway('weighted_waypoints', weighted.destination);
}

function decodeLoadBalancing(message: wire.Service): LoadBalancing {
  const { loadBalancing } = message;
  const clientIpAffinityMs = decodeAffinity(message.extensions);
  const policy = enumValue('load_balancing.health_policy', healthPolicies, loadBalancing?.healthPolicy ?? 0);
  return {
    mode: enumValue('load_balancing.mode', modes, loadBalancing?.mode ?? 0),
    scopes: (loadBalancing?.routingPreference ?? []).map((scope) =>
      enumValue('load_balancing.routing_preference', scopes, scope),
    ),
    allowUnhealthy: policy === 'all',
    ...(clientIpAffinityMs !== undefined && { clientIpAffinityMs }),
  };
}

/** Extensions of others are ignored. */
function decodeAffinity(extensions: readonly wire.Extension[]): number | undefined {
  const config = extensions.find((extension) => extension.name === affinityExtension)?.config;
  if (config === undefined) return undefined;
  const affinity = anyUnpack(config, SessionAffinitySchema);
  if (affinity === undefined) throw new FieldError('extensions', `${affinityExtension} has an unknown type`);
  return Number(affinity.clientIpMs);
}

export function encodeService(service: Service): wire.Service {
  const { waypoint, loadBalancing } = service;
  return create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.addresses.map(encodeNetworkAddress),
    ports: service.ports.map((port) =>
      create(PortSchema, {
        servicePort: port.servicePort,
        targetPort: port.targetPort,
        appProtocol: appProtocols.indexOf(port.appProtocol) as wire.AppProtocol,
      }),
    ),
    ...(isPlain(loadBalancing) ? {} : { loadBalancing: encodeLoadBalancing(loadBalancing) }),
    ...(waypoint !== undefined && { waypoint: encodeGateway(waypoint) }),
    subjectAltNames: [...service.subjectAltNames],
    canonical: service.canonical,
    extensions: encodeExtensions(loadBalancing),
  });
}

function isPlain(balancing: LoadBalancing): boolean {
  return balancing.mode === 'any' && balancing.scopes.length === 0 && !balancing.allowUnhealthy;
}

function encodeLoadBalancing(balancing: LoadBalancing): wire.LoadBalancing {
  return create(LoadBalancingSchema, {
    mode: modes.indexOf(balancing.mode) as wire.LoadBalancing_Mode,
    routingPreference: balancing.scopes.map((scope) => scopes.indexOf(scope) as wire.LoadBalancing_Scope),
    healthPolicy: balancing.allowUnhealthy
      ? LoadBalancing_HealthPolicy.ALLOW_ALL
      : LoadBalancing_HealthPolicy.ONLY_HEALTHY,
  });
}

function encodeExtensions(balancing: LoadBalancing): wire.Extension[] {
  if (balancing.clientIpAffinityMs === undefined) return [];
  const affinity = create(SessionAffinitySchema, { clientIpMs: BigInt(balancing.clientIpAffinityMs) });
  const config = anyPack(SessionAffinitySchema, affinity);
  return [create(ExtensionSchema, { name: affinityExtension, config })];
}
