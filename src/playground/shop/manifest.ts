// Reads the sample's manifests the way a kubelet would: which pods run where, and what runs in them. The controller
// reads the same files for everything else.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../../runtime/errors.ts';
import { PlaygroundError } from '../errors.ts';

export interface ShopContainer {
  readonly name: string;
  readonly command: readonly string[];
}

export interface ShopPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly node: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
  /** Its namespace carries culvert.dev/dataplane-mode=ambient. */
  readonly enrolled: boolean;
  readonly containers: readonly ShopContainer[];
}

export interface ShopService {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
}

export interface Shop {
  readonly nodes: readonly string[];
  readonly pods: readonly ShopPod[];
  readonly services: readonly ShopService[];
}

/** A pod's name becomes the name of a network interface: 15 characters at most. */
const podName = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/, 'a name of 1 to 15 characters a-z, 0-9, -');

const metadata = z.object({
  name: z.string(),
  namespace: z.string().default('default'),
  uid: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
});

const podSchema = z.object({
  metadata: metadata.extend({ name: podName }),
  spec: z.object({
    nodeName: podName,
    serviceAccountName: z.string().default('default'),
    containers: z.array(z.object({ name: z.string(), command: z.array(z.string()).min(1) })),
  }),
  status: z.object({
    podIPs: z
      .array(z.object({ ip: z.string() }))
      .min(1)
      .max(2),
  }),
});

const serviceSchema = z.object({
  metadata,
  spec: z.object({ clusterIPs: z.array(z.string()).default([]) }),
});

const plainSchema = z.object({ metadata });

interface Document {
  readonly file: string;
  readonly value: { readonly kind: string };
}

/** Reads all `*.yaml` of a directory. Throws ERR_CULVERT_PLAYGROUND_MANIFEST naming file and field. */
export async function readShop(directory: string): Promise<Shop> {
  const documents: Document[] = [];
  const names = (await readdir(directory)).filter((name) => /\.ya?ml$/.test(name)).sort();
  for (const name of names) documents.push(...parseFile(name, await readFile(join(directory, name), 'utf8')));
  return shopOf(documents);
}

/** The documents of one file. */
export function parseFile(file: string, text: string): readonly Document[] {
  return parseAllDocuments(text).flatMap((document) => {
    const error = document.errors[0];
    if (error !== undefined) throw manifestError(file, messageOf(error));
    const value = document.toJS() as { kind?: unknown } | null;
    if (value === null) return [];
    if (typeof value.kind !== 'string') throw manifestError(file, 'kind is missing');
    return [{ file, value: { ...value, kind: value.kind } }];
  });
}

/** What the playground runs, from all documents of all files. */
export function shopOf(documents: readonly Document[]): Shop {
  const enrolled = new Set<string>();
  for (const { file, value } of documents) {
    if (value.kind !== 'Namespace') continue;
    const found = check(file, plainSchema, value);
    if (found.metadata.labels['culvert.dev/dataplane-mode'] === 'ambient') enrolled.add(found.metadata.name);
  }
  const nodes: string[] = [];
  const pods: ShopPod[] = [];
  const services: ShopService[] = [];
  for (const { file, value } of documents) {
    if (value.kind === 'Node') nodes.push(check(file, plainSchema, value).metadata.name);
    if (value.kind === 'Pod') pods.push(podOf(check(file, podSchema, value), enrolled));
    if (value.kind === 'Service') services.push(serviceOf(check(file, serviceSchema, value)));
  }
  for (const pod of pods)
    if (!nodes.includes(pod.node))
      throw manifestError(`pod ${pod.namespace}/${pod.name}`, `there is no Node ${pod.node}`);
  return { nodes, pods, services };
}

function podOf(pod: z.infer<typeof podSchema>, enrolled: ReadonlySet<string>): ShopPod {
  return {
    name: pod.metadata.name,
    namespace: pod.metadata.namespace,
    uid: pod.metadata.uid ?? `${pod.metadata.namespace}.${pod.metadata.name}`,
    node: pod.spec.nodeName,
    serviceAccount: pod.spec.serviceAccountName,
    addresses: pod.status.podIPs.map(({ ip }) => ip),
    enrolled:
      enrolled.has(pod.metadata.namespace) && pod.metadata.labels['culvert.dev/dataplane-mode'] !== 'none',
    containers: pod.spec.containers,
  };
}

function serviceOf(service: z.infer<typeof serviceSchema>): ShopService {
  const { name, namespace } = service.metadata;
  return { name, namespace, addresses: service.spec.clusterIPs.filter((ip) => ip !== 'None') };
}

function check<T>(file: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw manifestError(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`);
}

function manifestError(place: string, message: string): PlaygroundError {
  return new PlaygroundError('ERR_CULVERT_PLAYGROUND_MANIFEST', `${place}: ${message}`);
}

/** /etc/hosts of a pod in `namespace`: services as cluster DNS would name them, and `<pod>.pod` for single pods. */
export function hostsFile(shop: Shop, namespace: string): string {
  const lines = ['127.0.0.1 localhost', '::1 localhost'];
  for (const service of shop.services) {
    const scoped = `${service.name}.${service.namespace}`;
    const names = [`${scoped}.svc.cluster.local`, `${scoped}.svc`, scoped];
    if (service.namespace === namespace) names.push(service.name);
    for (const ip of service.addresses) lines.push(`${ip} ${names.join(' ')}`);
  }
  for (const pod of shop.pods) for (const ip of pod.addresses) lines.push(`${ip} ${pod.name}.pod`);
  return `${lines.join('\n')}\n`;
}
