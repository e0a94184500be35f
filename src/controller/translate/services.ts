// A Kubernetes Service as the mesh sees it. ExternalName services are names for something else and are not sent.
import { isLoopback, parseIp } from '../../mesh/address.ts';
import type { AppProtocol, LoadBalancing, NetworkAddress } from '../../mesh/service.ts';
import type { Service as MeshService } from '../../mesh/service.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { ObjectSet, Service } from '../objects/object-set.ts';
import type { ServicePortSpec } from '../objects/service.ts';
import type { Findings } from './findings.ts';
import { firstOf, trafficDistributionAnnotations } from './labels.ts';
import type { MeshSettings } from './settings.ts';

/** Kubernetes' default of sessionAffinityConfig. */
const affinitySecondsDefault = 10_800;

export interface ServiceRecord {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly spec: Service;
  readonly service: MeshService;
}

/** By `namespace/name`, as EndpointSlices refer to them. */
export function translateServices(
  objects: ObjectSet,
  settings: MeshSettings,
  findings: Findings,
): ReadonlyMap<string, ServiceRecord> {
  const records = new Map<string, ServiceRecord>();
  for (const [name, spec] of objects.Service) {
    if (spec.spec.type === 'ExternalName') continue;
    const service = serviceOf(spec, settings, findings);
    records.set(name, { key: serviceKey(service), spec, service });
  }
  return records;
}

/** The ports that the mesh carries: it knows nothing but TCP. */
export function tcpPorts(service: Service): readonly ServicePortSpec[] {
  return service.spec.ports.filter(({ protocol }) => protocol === 'TCP');
}

function serviceOf(object: Service, settings: MeshSettings, findings: Findings): MeshService {
  const { name, namespace } = object.metadata;
  return {
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.${settings.clusterDomain}`,
    addresses: virtualAddresses(object, settings, findings),
    ports: tcpPorts(object).map((port) => ({
      servicePort: port.port,
      targetPort: typeof port.targetPort === 'string' ? 0 : (port.targetPort ?? port.port),
      appProtocol: appProtocolOf(port),
    })),
    loadBalancing: loadBalancingOf(object, findings),
    subjectAltNames: [],
    canonical: true,
  };
}

function virtualAddresses(
  object: Service,
  settings: MeshSettings,
  findings: Findings,
): readonly NetworkAddress[] {
  const { clusterIP, clusterIPs } = object.spec;
  const texts = clusterIPs.length > 0 ? clusterIPs : [clusterIP ?? ''];
  const addresses: NetworkAddress[] = [];
  texts.forEach((text, index) => {
    if (text === '' || text === 'None') return;
    const ip = parseIp(text);
    const path = clusterIPs.length > 0 ? ['spec', 'clusterIPs', index] : ['spec', 'clusterIP'];
    if (ip === undefined || isLoopback(ip))
      findings.error(object, 'invalid', path, `"${text}" is not an address that a service can have`);
    else if (!addresses.some((known) => known.ip === ip)) addresses.push({ network: settings.network, ip });
  });
  return addresses;
}

function loadBalancingOf(object: Service, findings: Findings): LoadBalancing {
  const { publishNotReadyAddresses, sessionAffinity, sessionAffinityConfig } = object.spec;
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySecondsDefault;
  return {
    ...placementOf(object, findings),
    allowUnhealthy: publishNotReadyAddresses,
    ...(sessionAffinity === 'ClientIP' ? { clientIpAffinityMs: seconds * 1000 } : {}),
  };
}

/** "Local" is a promise and rules out other nodes; a distribution is a preference (KEP-4444, KEP-3015). */
function placementOf(object: Service, findings: Findings): Pick<LoadBalancing, 'mode' | 'scopes'> {
  if (object.spec.internalTrafficPolicy === 'Local') return { mode: 'strict', scopes: ['node'] };
  const annotation = firstOf(object.metadata.annotations, trafficDistributionAnnotations);
  const distribution = object.spec.trafficDistribution ?? annotation?.value ?? 'Any';
  switch (distribution) {
    case 'PreferClose':
    case 'PreferSameZone':
      return { mode: 'failover', scopes: ['network', 'region', 'zone'] };
    case 'PreferSameNode':
      return { mode: 'failover', scopes: ['network', 'region', 'zone', 'subzone', 'node'] };
    case 'Any':
      return { mode: 'any', scopes: [] };
    default: {
      const path = ['metadata', 'annotations', annotation?.name ?? ''];
      findings.error(
        object,
        'invalid',
        path,
        `"${distribution}" is not a traffic distribution; there is none`,
      );
      return { mode: 'any', scopes: [] };
    }
  }
}

const protocolsByName: Readonly<Record<string, AppProtocol>> = {
  http: 'http11',
  'kubernetes.io/ws': 'http11',
  http2: 'http2',
  'kubernetes.io/h2c': 'http2',
  grpc: 'grpc',
  tcp: 'tcp',
  tls: 'tls',
  https: 'tls',
  'kubernetes.io/wss': 'tls',
};

/** `appProtocol`, else the port's name up to its first dash (`http-admin`), as Istio reads it. */
function appProtocolOf(port: ServicePortSpec): AppProtocol {
  const declared = port.appProtocol ?? port.name.split('-', 1)[0] ?? '';
  const key = declared.toLowerCase();
  return Object.hasOwn(protocolsByName, key) ? (protocolsByName[key] ?? 'unknown') : 'unknown';
}
