// What a node must know of its own pods beyond what every peer may know (sent to that node only: culvert.node.Pod).
import type { Cidr, IpAddress } from './address.ts';
import { cidrContains } from './address.ts';

export interface Exclusions {
  readonly inboundPorts: readonly number[];
  readonly outboundPorts: readonly number[];
  readonly inboundCidrs: readonly Cidr[];
  readonly outboundCidrs: readonly Cidr[];
}

export interface PodSettings {
  /** The workload's uid. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  /** False for pods that opted out: such a pod is never captured. */
  readonly enrolled: boolean;
  /** Ports named in the pod's probes and lifecycle hooks: open to node addresses only. */
  readonly probePorts: readonly number[];
  /** Addresses the node's own processes (kubelet) use towards the pod. */
  readonly nodeAddresses: readonly IpAddress[];
  readonly exclusions: Exclusions;
}

export const noExclusions: Exclusions = {
  inboundPorts: [],
  outboundPorts: [],
  inboundCidrs: [],
  outboundCidrs: [],
};

/** Whether what the pod answers to `client` from `port` leaves it directly, past ztunnel: a socket to the application that
 *  is bound to such a client's address would lose its answers. */
export function answersDirect(settings: PodSettings, client: IpAddress, port: number): boolean {
  const { inboundPorts, inboundCidrs } = settings.exclusions;
  return (
    !settings.enrolled ||
    inboundPorts.includes(port) ||
    inboundCidrs.some((block) => cidrContains(block, client)) ||
    (settings.probePorts.includes(port) && settings.nodeAddresses.includes(client))
  );
}
