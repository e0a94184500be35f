// What a pod's own node must know of it: whether to capture it, and what passes capture by.
import type { IpAddress } from '../../mesh/address.ts';
import { isLoopback, parseIp } from '../../mesh/address.ts';
import type { PodSettings } from '../../mesh/pod-settings.ts';
import type { FieldPath } from '../problem.ts';
import type { Node, Pod } from '../objects/object-set.ts';
import type { Container, Probe } from '../objects/pod.ts';
import type { Findings } from './findings.ts';
import { cidrList, firstOf, portList } from './labels.ts';
import type { PodRecord } from './pods.ts';
import type { MeshSettings } from './settings.ts';

/** Settings of a pod that has been given a node. */
export function podSettingsOf(
  record: PodRecord,
  nodeAddresses: readonly IpAddress[],
  settings: MeshSettings,
  findings: Findings,
): PodSettings {
  const { pod } = record;
  return {
    uid: record.uid,
    namespace: pod.metadata.namespace,
    name: pod.metadata.name,
    serviceAccount: pod.spec.serviceAccountName,
    trustDomain: settings.trustDomain,
    enrolled: record.enrolled,
    probePorts: probePortsOf(pod, findings),
    nodeAddresses: merged(nodeAddresses, hostAddressesOf(pod)),
    exclusions: {
      inboundPorts: portList(pod, 'culvert.dev/exclude-inbound-ports', findings),
      outboundPorts: portList(pod, 'culvert.dev/exclude-outbound-ports', findings),
      inboundCidrs: cidrList(pod, 'culvert.dev/exclude-inbound-cidrs', findings),
      outboundCidrs: cidrList(pod, 'culvert.dev/exclude-outbound-cidrs', findings),
    },
  };
}

/** Addresses that a node's own processes use: those of its status, and those of `culvert.dev/node-addresses`, where
 *  the network plugin's own (bridges, cilium_host, tunl0) are reported. */
export function nodeAddressesOf(node: Node, findings: Findings): readonly IpAddress[] {
  const addresses: IpAddress[] = [];
  const take = (text: string, path: FieldPath): void => {
    const address = parseIp(text);
    if (address !== undefined && !isLoopback(address)) addresses.push(address);
    else findings.error(node, 'invalid', path, `"${text}" is not an address that a node can have`);
  };
  node.status.addresses.forEach(({ type, address }, index) => {
    if (type === 'InternalIP' || type === 'ExternalIP')
      take(address, ['status', 'addresses', index, 'address']);
  });
  const name = 'culvert.dev/node-addresses';
  for (const text of firstOf(node.metadata.annotations, [name])?.value.split(',') ?? [])
    if (text.trim() !== '') take(text.trim(), ['metadata', 'annotations', name]);
  return merged(addresses);
}

function hostAddressesOf(pod: Pod): readonly IpAddress[] {
  const texts = [pod.status.hostIP ?? '', ...pod.status.hostIPs.map(({ ip }) => ip)];
  const addresses = texts.map(parseIp).filter((address) => address !== undefined);
  return addresses.filter((address) => !isLoopback(address));
}

function merged(...lists: readonly (readonly IpAddress[])[]): readonly IpAddress[] {
  return [...new Set(lists.flat())].sort();
}

function probePortsOf(pod: Pod, findings: Findings): readonly number[] {
  const ports = new Set<number>();
  for (const list of ['containers', 'initContainers'] as const) {
    pod.spec[list].forEach((container, index) => {
      for (const [probe, path] of probesOf(container)) {
        const target = portOf(probe);
        if (target === undefined) continue;
        const port = typeof target === 'number' ? target : namedPort(container, target);
        if (port !== undefined) ports.add(port);
        else {
          const message = `the container has no port named "${String(target)}": this probe will not pass`;
          findings.error(pod, 'missing-reference', ['spec', list, index, ...path], message);
        }
      }
    });
  }
  return [...ports].sort((a, b) => a - b);
}

function probesOf(container: Container): readonly (readonly [Probe, FieldPath])[] {
  const { readinessProbe, livenessProbe, startupProbe, lifecycle } = container;
  const all: readonly (readonly [Probe | undefined, FieldPath])[] = [
    [readinessProbe, ['readinessProbe']],
    [livenessProbe, ['livenessProbe']],
    [startupProbe, ['startupProbe']],
    [lifecycle?.postStart, ['lifecycle', 'postStart']],
    [lifecycle?.preStop, ['lifecycle', 'preStop']],
  ];
  return all.filter((entry): entry is readonly [Probe, FieldPath] => entry[0] !== undefined);
}

/** A probe of another host does not come to this pod. */
function portOf(probe: Probe): number | string | undefined {
  const socket = probe.httpGet ?? probe.tcpSocket;
  if (socket?.host !== undefined && socket.host !== '') return undefined;
  const port = socket?.port ?? probe.grpc?.port;
  return typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port;
}

/** The number of a container's TCP port of this name. */
export function namedPort(container: Container, name: string): number | undefined {
  return container.ports.find((port) => port.name === name && port.protocol === 'TCP')?.containerPort;
}
