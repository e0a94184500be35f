// A workload, as the mesh keeps it and as istio.workload.Workload carries it.
import { create } from '@bufbuild/protobuf';
import type { TunnelProtocol, Workload, WorkloadType } from '../mesh/workload.ts';
import { decodeGateway, decodeIp, encodeGateway, encodeIp } from './codec-address.ts';
import { enumValue, portValue } from './decoded.ts';
import { FieldError } from './errors.ts';
import type * as wire from './generated/istio/workload/workload_pb.ts';
import {
  ApplicationTunnel_Protocol,
  ApplicationTunnelSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  PortSchema,
  TunnelProtocol as WireTunnel,
  WorkloadSchema,
  WorkloadStatus,
  type WorkloadType as WireType,
} from './generated/istio/workload/workload_pb.ts';

/** By number. A sidecar's own mTLS (2) is not ours to speak: such a workload is reached as it is. */
const tunnels: readonly TunnelProtocol[] = ['none', 'hbone', 'none'];
const types: readonly WorkloadType[] = ['deployment', 'cronjob', 'pod', 'job'];
const statuses: readonly ('healthy' | 'unhealthy')[] = ['healthy', 'unhealthy'];
const networkModes: readonly ('standard' | 'host')[] = ['standard', 'host'];
const applicationTunnels: readonly ('none' | 'proxy')[] = ['none', 'proxy'];

/** Largest weight that is believed: enough for any replica count, small enough to add up exactly. */
const capacityMax = 1_000_000;

/** Throws FieldError for what matters and cannot be understood; the kind of owner is for telemetry only. */
export function decodeWorkload(message: wire.Workload): Workload {
  if (message.uid === '') throw new FieldError('uid', 'is empty');
  const status = enumValue('status', statuses, message.status);
  const networkMode = enumValue('network_mode', networkModes, message.networkMode);
  const { locality, waypoint, networkGateway, applicationTunnel: tunnel } = message;
  return {
    uid: message.uid,
    name: message.name,
    namespace: message.namespace,
    addresses: message.addresses.map((bytes) => decodeIp('addresses', bytes)),
    network: message.network,
    tunnelProtocol: enumValue('tunnel_protocol', tunnels, message.tunnelProtocol),
    trustDomain: message.trustDomain || 'cluster.local',
    serviceAccount: message.serviceAccount || 'default',
    node: message.node,
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadType: types[message.workloadType] ?? 'pod',
    workloadName: message.workloadName,
    clusterId: message.clusterId,
    healthy: status === 'healthy',
    hostNetwork: networkMode === 'host',
    nativeTunnel: message.nativeTunnel,
    hostname: message.hostname,
    locality: {
      region: locality?.region ?? '',
      zone: locality?.zone ?? '',
      subzone: locality?.subzone ?? '',
    },
    capacity: Math.min(message.capacity ?? 1, capacityMax),
    ...(waypoint !== undefined && { waypoint: decodeGateway('waypoint', waypoint) }),
    ...(networkGateway !== undefined && {
      networkGateway: decodeGateway('network_gateway', networkGateway),
    }),
    ...(tunnel !== undefined && {
      applicationTunnel: {
        protocol: enumValue('application_tunnel.protocol', applicationTunnels, tunnel.protocol),
        port: portValue('application_tunnel.port', tunnel.port, 0),
      },
    }),
    policies: message.authorizationPolicies,
    services: decodeServices(message.services),
  };
}

function decodeServices(services: wire.Workload['services']): Workload['services'] {
  return new Map(
    Object.entries(services).map(([name, list]) => {
      const field = `services[${name}]`;
      const ports = list.ports.map((port) => ({
        servicePort: portValue(field, port.servicePort),
        targetPort: portValue(field, port.targetPort, 0),
      }));
      return [name, ports];
    }),
  );
}

/** Equal workloads give equal bytes: the map's entries are put in order. */
export function encodeWorkload(workload: Workload): wire.Workload {
  const { waypoint, networkGateway, applicationTunnel: tunnel } = workload;
  return create(WorkloadSchema, {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map(encodeIp),
    network: workload.network,
    tunnelProtocol: workload.tunnelProtocol === 'hbone' ? WireTunnel.HBONE : WireTunnel.NONE,
    trustDomain: workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: types.indexOf(workload.workloadType) as WireType,
    workloadName: workload.workloadName,
    clusterId: workload.clusterId,
    status: workload.healthy ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    networkMode: workload.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    nativeTunnel: workload.nativeTunnel,
    hostname: workload.hostname,
    locality: create(LocalitySchema, workload.locality),
    ...(workload.capacity !== 1 && { capacity: workload.capacity }),
    ...(waypoint !== undefined && { waypoint: encodeGateway(waypoint) }),
    ...(networkGateway !== undefined && { networkGateway: encodeGateway(networkGateway) }),
    ...(tunnel !== undefined && {
      applicationTunnel: create(ApplicationTunnelSchema, {
        protocol:
          tunnel.protocol === 'proxy' ? ApplicationTunnel_Protocol.PROXY : ApplicationTunnel_Protocol.NONE,
        port: tunnel.port,
      }),
    }),
    authorizationPolicies: [...workload.policies],
    services: encodeServices(workload.services),
  });
}

function encodeServices(services: Workload['services']): Record<string, wire.PortList> {
  const names = [...services.keys()].sort();
  return Object.fromEntries(
    names.map((name) => {
      const ports = (services.get(name) ?? []).map((port) => create(PortSchema, port));
      return [name, create(PortListSchema, { ports })];
    }),
  );
}
