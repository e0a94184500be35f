// What the playground's network looks like, as a value: namespaces and the `ip` commands that furnish each of them.
//
//   router ── node1 ── frontend, cart-1, ...        pods hang on their node by a veth pair, as the ptp CNI plugin
//          └─ node2 ── cart-2, catalog, ...         would do it; what goes from node to node passes the router
//
// Virtual addresses of services are routed nowhere: captured pods never send to them (their ztunnel has chosen an
// endpoint by then), and for pods outside the mesh they fail, since nothing here plays kube-proxy.

export interface PlannedPod {
  readonly name: string;
  readonly node: string;
  /** One or two, of different families. */
  readonly addresses: readonly string[];
}

export interface PlannedNamespace {
  /** Name under /run/netns. */
  readonly netns: string;
  readonly forwards: boolean;
  /** Lines for `ip -n <netns> -batch -`, in order. */
  readonly commands: readonly string[];
}

export interface NetworkPlan {
  readonly namespaces: readonly PlannedNamespace[];
}

/** Where the controller listens: on the router's loopback, reachable from both nodes. */
export const controllerAddress = '10.240.0.1';

const serviceRanges = { v4: '10.96.0.0/16', v6: 'fd00:10:96::/112' } as const;

/** Name of the network namespace of `member` (a pod, a node, `router`) in the playground `id`. */
export function netnsName(id: string, member: string): string {
  return `${id}-${member}`;
}

/** Every node's address on its link to the router. `index` counts from 1. */
export function nodeAddresses(index: number): { readonly v4: string; readonly v6: string } {
  return { v4: `172.30.${index}.2`, v6: `fd00:172:30:${index}::2` };
}

/** What pods of the node use as their gateway; also the address the node's own processes dial them from. */
export function podGateway(index: number): { readonly v4: string; readonly v6: string } {
  return { v4: `10.244.${index}.1`, v6: `fd00:10:244:${index}::1` };
}

/** Name of the router's interface towards a node: where the check captures what goes between nodes. */
export function routerInterface(node: string): string {
  return `to-${node}`;
}

/** The whole network. Node number N (from 1) has 10.244.N.0/24 and fd00:10:244:N::/64 for its pods. */
export function planNetwork(id: string, nodes: readonly string[], pods: readonly PlannedPod[]): NetworkPlan {
  const router: string[] = [
    'link set lo up',
    `address add ${controllerAddress}/32 dev lo`,
    `route add unreachable ${serviceRanges.v4}`,
    `route add unreachable ${serviceRanges.v6}`,
  ];
  const namespaces: PlannedNamespace[] = [];
  nodes.forEach((node, position) => {
    const own = pods.filter((pod) => pod.node === node);
    router.push(...routerLink(id, node, position + 1));
    namespaces.push({
      netns: netnsName(id, node),
      forwards: true,
      commands: nodeCommands(id, position + 1, own),
    });
    for (const pod of own)
      namespaces.push({
        netns: netnsName(id, pod.name),
        forwards: false,
        commands: podCommands(pod, position + 1),
      });
  });
  return {
    namespaces: [{ netns: netnsName(id, 'router'), forwards: true, commands: router }, ...namespaces],
  };
}

function routerLink(id: string, node: string, index: number): readonly string[] {
  const device = routerInterface(node);
  const address = nodeAddresses(index);
  return [
    `link add name ${device} type veth peer name eth0 netns ${netnsName(id, node)}`,
    `address add 172.30.${index}.1/24 dev ${device}`,
    `address add fd00:172:30:${index}::1/64 dev ${device} nodad`,
    `link set dev ${device} up`,
    `route add 10.244.${index}.0/24 via ${address.v4} dev ${device}`,
    `route add fd00:10:244:${index}::/64 via ${address.v6} dev ${device}`,
  ];
}

function nodeCommands(id: string, index: number, pods: readonly PlannedPod[]): readonly string[] {
  const address = nodeAddresses(index);
  const gateway = podGateway(index);
  return [
    'link set lo up',
    `address add ${address.v4}/24 dev eth0`,
    `address add ${address.v6}/64 dev eth0 nodad`,
    'link set eth0 up',
    `route add default via 172.30.${index}.1 dev eth0`,
    `route add ::/0 via fd00:172:30:${index}::1 dev eth0`,
    ...pods.flatMap((pod) => {
      const device = podInterface(pod.name);
      return [
        `link add name ${device} type veth peer name eth0 netns ${netnsName(id, pod.name)}`,
        `address add ${gateway.v4}/32 dev ${device}`,
        `address add ${gateway.v6}/128 dev ${device} nodad`,
        `link set dev ${device} up`,
        ...pod.addresses.map((ip) => `route add ${ip}/${bits(ip)} dev ${device}`),
      ];
    }),
  ];
}

function podCommands(pod: PlannedPod, index: number): readonly string[] {
  const gateway = podGateway(index);
  return [
    'link set lo up',
    ...pod.addresses.map((ip) => `address add ${ip}/${bits(ip)} dev eth0${isV6(ip) ? ' nodad' : ''}`),
    'link set eth0 up',
    ...pod.addresses.flatMap((ip) => {
      const via = isV6(ip) ? gateway.v6 : gateway.v4;
      return [
        `route add ${via}/${bits(ip)} dev eth0 src ${ip}`,
        `route add ${isV6(ip) ? '::/0' : 'default'} via ${via} dev eth0 src ${ip}`,
      ];
    }),
  ];
}

/** The node's end of a pod's veth pair; interface names have 15 characters at most. */
function podInterface(pod: string): string {
  return pod.slice(0, 15);
}

function isV6(ip: string): boolean {
  return ip.includes(':');
}

function bits(ip: string): number {
  return isV6(ip) ? 128 : 32;
}
