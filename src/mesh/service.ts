// A service: a stable name and virtual addresses in front of workloads (istio.workload.Service).
import type { IpAddress } from './address.ts';
import type { GatewayAddress } from './workload.ts';

export type AppProtocol = 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';
export type LocalityScope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster' | 'network';

export interface ServicePort {
  readonly servicePort: number;
  /** 0 where each endpoint maps the port by itself (a named target port). */
  readonly targetPort: number;
  readonly appProtocol: AppProtocol;
}

/** An address within a network; with `length` a block of virtual addresses. */
export interface NetworkAddress {
  readonly network: string;
  readonly ip: IpAddress;
  readonly length?: number;
}

export interface LoadBalancing {
  /** `strict`: only endpoints equal in every scope. `failover`: prefer those equal in the most scopes, in order.
   *  `passthrough`: connect to the address that was dialled. `any`: all alike. */
  readonly mode: 'any' | 'strict' | 'failover' | 'passthrough';
  readonly scopes: readonly LocalityScope[];
  /** Send to endpoints that are not ready, too (publishNotReadyAddresses). */
  readonly allowUnhealthy: boolean;
  /** sessionAffinity ClientIP: the same client address keeps its endpoint for this long after its last connection. */
  readonly clientIpAffinityMs?: number;
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** Empty for a headless service. */
  readonly addresses: readonly NetworkAddress[];
  readonly ports: readonly ServicePort[];
  readonly loadBalancing: LoadBalancing;
  readonly waypoint?: GatewayAddress;
  /** Further SPIFFE ids an endpoint of this service may present. */
  readonly subjectAltNames: readonly string[];
  readonly canonical: boolean;
}

/** `namespace/hostname`: the xDS resource name of a service. */
export function serviceKey(service: Pick<Service, 'namespace' | 'hostname'>): string {
  return `${service.namespace}/${service.hostname}`;
}
