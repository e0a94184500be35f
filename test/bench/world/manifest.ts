// The mesh of the benches as manifests: two nodes, and a client and a server for each side.
//
//   client pods on node1 ── router ── server pods on node2
//
// All sides cross the same links and the same router. A rival's sockets are in the pods' namespaces, where Culvert's are.

export const sides = ['direct', 'culvert', 'envoy', 'haproxy'] as const;
export type Side = (typeof sides)[number];

export const ports = { echo: 7000, sink: 7001 } as const;
export type Service = keyof typeof ports;

export interface BenchPod {
  readonly name: string;
  readonly side: Side;
  readonly node: 1 | 2;
  /** Its last byte: 10.244.<node>.<host>. */
  readonly host: number;
  readonly serves: boolean;
}

export function clientPod(side: Side): string {
  return `${side}-client`;
}

export function serverPod(side: Side): string {
  return `${side}-server`;
}

/** A second server, on the clients' node. */
export function nearPod(side: Side): string {
  return `${side}-near`;
}

/** One of the clients in the mesh that hold idle connections: a peer may have a limited number of tunnels. */
export function crowdPod(index: number): string {
  return `crowd-${index}`;
}

/** What a world has beside a client and a server of each side. */
export interface Extras {
  readonly near?: boolean;
  readonly crowd?: number;
}

export function benchPods({ near = false, crowd = 0 }: Extras): readonly BenchPod[] {
  return [
    ...sides.flatMap((side, index): readonly BenchPod[] => [
      { name: clientPod(side), side, node: 1, host: 11 + index, serves: false },
      { name: serverPod(side), side, node: 2, host: 11 + index, serves: true },
      ...(near ? [{ name: nearPod(side), side, node: 1, host: 21 + index, serves: true } as const] : []),
    ]),
    ...Array.from({ length: crowd }, (_, index): BenchPod => {
      return { name: crowdPod(index), side: 'culvert', node: 1, host: 31 + index, serves: false };
    }),
  ];
}

export function podAddress(name: string): string {
  const pod = benchPods({ near: true }).find((each) => each.name === name);
  if (pod === undefined) throw new Error(`there is no pod ${name}`);
  return `10.244.${pod.node}.${pod.host}`;
}

/** One YAML file (JSON documents). `load` is the program that servers run. */
export function benchManifests(load: string, extras: Extras): string {
  const namespace = (name: string, labels: object): object => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  const node = (index: number): object => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node${index}` },
    status: { addresses: [{ type: 'InternalIP', address: `172.30.${index}.2` }] },
  });
  const documents = [
    namespace('mesh', { 'culvert.dev/dataplane-mode': 'ambient' }),
    namespace('plain', {}),
    node(1),
    node(2),
    ...benchPods(extras).map((pod) => podManifest(pod, load)),
  ];
  return documents.map((document) => JSON.stringify(document)).join('\n---\n');
}

function podManifest(pod: BenchPod, load: string): object {
  const command = [load, 'serve', String(ports.echo), String(ports.sink)];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      namespace: pod.side === 'culvert' ? 'mesh' : 'plain',
      labels: { app: pod.name },
    },
    spec: {
      nodeName: `node${pod.node}`,
      serviceAccountName: pod.name,
      containers: pod.serves ? [{ name: 'serve', command }] : [],
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      podIPs: [{ ip: `10.244.${pod.node}.${pod.host}` }, { ip: `fd00:10:244:${pod.node}::${pod.host}` }],
    },
  };
}
