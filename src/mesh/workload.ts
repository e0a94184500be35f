// A workload: something with addresses and an identity that the mesh can reach (istio.workload.Workload).
import type { IpAddress } from './address.ts';
import type { Identity } from './identity.ts';
import { formatIdentity } from './identity.ts';

export type TunnelProtocol = 'none' | 'hbone';
export type WorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** Where a waypoint or network gateway is: by service name, or by address. */
export interface GatewayAddress {
  readonly destination:
    | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string }
    | { readonly kind: 'address'; readonly network: string; readonly ip: IpAddress };
  readonly hbonePort: number;
}

/** One port of a service as this workload serves it. */
export interface ServicePortMapping {
  readonly servicePort: number;
  readonly targetPort: number;
}

export interface Workload {
  /** Unique and stable: `<cluster>//Pod/<namespace>/<name>`. The xDS resource name. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly IpAddress[];
  readonly network: string;
  readonly tunnelProtocol: TunnelProtocol;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: WorkloadType;
  /** Name of the Deployment, Job, ... that owns it; its own name for a bare pod. */
  readonly workloadName: string;
  readonly clusterId: string;
  readonly healthy: boolean;
  readonly hostNetwork: boolean;
  /** The application itself speaks HBONE. */
  readonly nativeTunnel: boolean;
  readonly hostname: string;
  readonly locality: Locality;
  /** Load-balancing weight; 1 where nothing is said. */
  readonly capacity: number;
  readonly waypoint?: GatewayAddress;
  readonly networkGateway?: GatewayAddress;
  /** Deliver to the application through this port with a PROXY v2 header (waypoint "sandwich"). */
  readonly applicationTunnel?: { readonly protocol: 'none' | 'proxy'; readonly port: number };
  /** `namespace/name` of the policies that select this workload; those of its namespace and global ones apply anyway. */
  readonly policies: readonly string[];
  /** By service name `namespace/hostname`: the ports of the service that it serves. */
  readonly services: ReadonlyMap<string, readonly ServicePortMapping[]>;
}

export function identityOf(workload: Workload): Identity {
  return {
    trustDomain: workload.trustDomain,
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount,
  };
}

/** The SPIFFE id of a workload. Worked out once per record: every connection names two. */
export function spiffeIdOf(workload: Workload): string {
  let id = spiffeIds.get(workload);
  if (id === undefined) spiffeIds.set(workload, (id = formatIdentity(identityOf(workload))));
  return id;
}

const spiffeIds = new WeakMap<Workload, string>();
