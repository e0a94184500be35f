// A mesh for tests: two nodes, pods that run agents, manifests written by the test. Needs root.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { adminJson } from '../../src/playground/admin.ts';
import type { SameNode } from '../../src/playground/daemons.ts';
import { Mesh } from '../../src/playground/mesh.ts';
import type { StatusReport } from '../../src/ztunnel/status.ts';
import { MeshPod } from './mesh-pod.ts';

export interface TestPod {
  readonly name: string;
  readonly node: 'node1' | 'node2';
  /** False: in a namespace that is not enrolled. */
  readonly captured: boolean;
  /** Further labels of the pod. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface TestMeshOptions {
  readonly pods: readonly TestPod[];
  /** Files by name: objects that become YAML documents. */
  readonly manifests?: Readonly<Record<string, readonly object[]>>;
  readonly certificateLifetime?: string;
  readonly drainTimeout?: string;
  /** How pods of one node are connected. */
  readonly sameNode?: SameNode;
}

export interface TestMesh {
  readonly mesh: Mesh;
  pod(name: string): MeshPod;
  /** A pod's address: 4 and 6 as they are, `mapped` as ::ffff:a.b.c.d. */
  address(name: string, family: Family): string;
  status(node: string): Promise<StatusReport>;
  /** Replaces a manifest file. */
  apply(file: string, objects: readonly object[]): Promise<void>;
  close(): Promise<void>;
}

export type Family = 'v4' | 'v6' | 'v4-mapped';
export const families: readonly Family[] = ['v4', 'v6', 'v4-mapped'];

/** Sanitizer builds are slower by an order of magnitude: suites choose less and wait longer. */
export const sanitized = process.env['CULVERT_SANITIZED'] === '1';

/** Skips the suite without root; in CI that is a failure instead. Call it in `before`. */
export function requireRoot(context: Mocha.Context): void {
  if (process.getuid?.() === 0) return;
  if (process.env['CULVERT_REQUIRE_ROOT'] === '1') throw new Error('this suite needs root');
  context.skip();
}

/** Policies and the like of these tests are in namespace `mesh`; pods that are not captured in `outside`. */
export async function startTestMesh(options: TestMeshOptions): Promise<TestMesh> {
  const sample = await mkdtemp(join(tmpdir(), 'culvert-mesh-'));
  const agents = new Map<string, MeshPod>();
  let mesh: Mesh | undefined;
  const close = async (): Promise<void> => {
    await Promise.all([...agents.values()].map((agent) => agent.close()));
    await mesh?.close();
    await rm(sample, { recursive: true, force: true });
  };
  try {
    await writeFile(join(sample, 'pods.yaml'), toYaml(baseObjects(options.pods)));
    for (const [file, objects] of Object.entries(options.manifests ?? {}))
      await writeFile(join(sample, file), toYaml(objects));
    mesh = await Mesh.start({
      sample,
      marker: '',
      certificateLifetime: options.certificateLifetime ?? '1h',
      drainTimeout: options.drainTimeout ?? '5s',
      sameNode: options.sameNode,
      progress: () => undefined,
    });
    for (const { name } of options.pods) agents.set(name, await MeshPod.start(mesh.netns(name)));
  } catch (error) {
    await close();
    throw error;
  }
  const running = mesh;
  return {
    mesh: running,
    pod: (name) => agents.get(name) ?? missing(name),
    address: (name, family) => addressOf(running, name, family),
    status: (node) => adminJson<StatusReport>(running.adminSocket(node), '/status'),
    apply: (file, objects) => running.edit(file, () => toYaml(objects)),
    close,
  };
}

function missing(name: string): never {
  throw new Error(`this mesh has no pod ${name}`);
}

function addressOf(mesh: Mesh, name: string, family: Family): string {
  const [v4, v6] = mesh.pod(name).addresses;
  if (v4 === undefined || v6 === undefined) throw new Error(`${name} lacks an address`);
  if (family === 'v6') return v6;
  return family === 'v4' ? v4 : `::ffff:${v4}`;
}

function toYaml(objects: readonly object[]): string {
  return objects.map((object) => stringify(object)).join('---\n');
}

function baseObjects(pods: readonly TestPod[]): readonly object[] {
  const nodes = ['node1', 'node2'];
  return [
    namespace('mesh', { 'culvert.dev/dataplane-mode': 'ambient' }),
    namespace('outside', {}),
    ...nodes.map((name, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `172.30.${index + 1}.2` }] },
    })),
    ...pods.map((pod, index) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: pod.name,
        namespace: pod.captured ? 'mesh' : 'outside',
        labels: { app: pod.name, ...pod.labels },
      },
      spec: { nodeName: pod.node, serviceAccountName: pod.name, containers: [] },
      status: {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        podIPs: [
          { ip: `10.244.${nodes.indexOf(pod.node) + 1}.${index + 11}` },
          { ip: `fd00:10:244:${nodes.indexOf(pod.node) + 1}::${index + 11}` },
        ],
      },
    })),
  ];
}

function namespace(name: string, labels: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** ALLOW to the pods labelled `app`, from these identities (`client`) and blocks. */
export function allowPolicy(
  name: string,
  app: string,
  from: { readonly clients?: readonly string[]; readonly ipBlocks?: readonly string[] },
): object {
  const sources = [
    ...(from.clients === undefined
      ? []
      : [{ source: { principals: from.clients.map((client) => `cluster.local/ns/mesh/sa/${client}`) } }]),
    ...(from.ipBlocks === undefined ? [] : [{ source: { ipBlocks: from.ipBlocks } }]),
  ];
  return {
    apiVersion: 'security.culvert.dev/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'mesh' },
    spec: { selector: { matchLabels: { app } }, action: 'ALLOW', rules: [{ from: sources }] },
  };
}

export function peerAuthentication(mode: 'STRICT' | 'PERMISSIVE', app?: string): object {
  return {
    apiVersion: 'security.culvert.dev/v1',
    kind: 'PeerAuthentication',
    metadata: { name: app ?? 'default', namespace: 'mesh' },
    spec: { ...(app !== undefined && { selector: { matchLabels: { app } } }), mtls: { mode } },
  };
}

/** A service with a virtual address of each family. */
export function service(
  name: string,
  app: string,
  number: number,
  ports: Readonly<Record<number, number>>,
): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'mesh' },
    spec: {
      selector: { app },
      clusterIP: `10.96.0.${number}`,
      clusterIPs: [`10.96.0.${number}`, `fd00:10:96::${number}`],
      ports: Object.entries(ports).map(([port, targetPort]) => ({
        name: `p${port}`,
        port: Number(port),
        targetPort,
      })),
    },
  };
}
