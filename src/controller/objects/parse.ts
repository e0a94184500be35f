// From a value of a YAML or JSON document to a typed object, or to what is wrong with it.
import { z } from 'zod';
import type { FieldPath, ObjectRef, Origin, Problem } from '../problem.ts';
import { formatPath, placeOf } from '../problem.ts';
import { namespaceSchema, nodeSchema, serviceAccountSchema } from './core.ts';
import { identitySchema } from './metadata.ts';
import type { BrokenObject, Kind, MeshObject } from './object-set.ts';
import { podSchema } from './pod.ts';
import { authorizationPolicySchema, peerAuthenticationSchema, selectorSchema } from './policy.ts';
import { endpointSliceSchema, serviceSchema } from './service.ts';

export type ParsedManifest =
  | { readonly kind: 'object'; readonly object: MeshObject; readonly problems: readonly Problem[] }
  | { readonly kind: 'broken'; readonly broken: BrokenObject }
  /** A kind that this version does not handle. */
  | { readonly kind: 'ignored'; readonly problems: readonly Problem[] }
  /** It does not say which object it is: most likely half of a file. */
  | { readonly kind: 'unidentified'; readonly problems: readonly Problem[] };

interface KindEntry {
  readonly kind: Kind;
  readonly groups: readonly string[];
  readonly versions: readonly string[];
  readonly schema: z.ZodType<MeshObject>;
}

const policyGroups = ['security.culvert.dev', 'security.istio.io'];

const kinds: readonly KindEntry[] = [
  { kind: 'Namespace', groups: [''], versions: ['v1'], schema: namespaceSchema },
  { kind: 'Node', groups: [''], versions: ['v1'], schema: nodeSchema },
  { kind: 'ServiceAccount', groups: [''], versions: ['v1'], schema: serviceAccountSchema },
  { kind: 'Pod', groups: [''], versions: ['v1'], schema: podSchema },
  { kind: 'Service', groups: [''], versions: ['v1'], schema: serviceSchema },
  { kind: 'EndpointSlice', groups: ['discovery.k8s.io'], versions: ['v1'], schema: endpointSliceSchema },
  {
    kind: 'AuthorizationPolicy',
    groups: policyGroups,
    versions: ['v1', 'v1beta1'],
    schema: authorizationPolicySchema,
  },
  {
    kind: 'PeerAuthentication',
    groups: policyGroups,
    versions: ['v1', 'v1beta1'],
    schema: peerAuthenticationSchema,
  },
];

/** Kinds that belong to a workload's manifests and have no meaning for the mesh: not worth a line. */
const silentGroups = new Set(['apps', 'batch', 'rbac.authorization.k8s.io', 'policy', 'autoscaling']);
const silentKinds = new Set(['ConfigMap', 'Secret', 'PersistentVolumeClaim', 'Endpoints', 'ResourceQuota']);

/** Parses one document. `List` kinds are taken apart by the caller. Never throws. */
export function parseManifest(value: unknown, origin?: Origin): ParsedManifest {
  const abuse = findAbuse(value);
  const cleaned = abuse === undefined ? withoutNulls(value) : undefined;
  const identity = identitySchema.safeParse(abuse === undefined ? cleaned : value);
  if (!identity.success) {
    const problems =
      abuse === undefined
        ? problemsOf(identity.error, cleaned, 'not-an-object', undefined, origin)
        : [problemAt('not-an-object', abuse.message, undefined, abuse.path, origin)];
    return { kind: 'unidentified', problems };
  }
  const { apiVersion, kind, metadata } = identity.data;
  const [group, version] = splitApiVersion(apiVersion);
  const entry = kinds.find((candidate) => candidate.kind === kind && candidate.groups.includes(group));
  const ref: ObjectRef = { kind, namespace: metadata.namespace ?? '', name: metadata.name };
  if (entry === undefined) return { kind: 'ignored', problems: unsupportedKind(group, ref, origin) };
  const clustered = entry.kind === 'Namespace' || entry.kind === 'Node';
  const own = { ...ref, namespace: clustered ? '' : (metadata.namespace ?? 'default') };
  const fail = (problems: readonly Problem[]): ParsedManifest => ({
    kind: 'broken',
    broken: {
      kind: entry.kind,
      apiVersion,
      namespace: escaped(own.namespace),
      name: escaped(own.name),
      ...readable(cleaned),
      origin,
      problems,
    },
  });
  if (abuse !== undefined) return fail([problemAt('invalid', abuse.message, own, abuse.path, origin)]);
  if (!entry.versions.includes(version)) {
    const message = `version ${version} of ${kind} is not known; ${entry.versions.join(' and ')} are`;
    return fail([problemAt('invalid', message, own, ['apiVersion'], origin)]);
  }
  const parsed = entry.schema.safeParse(cleaned);
  if (!parsed.success) return fail(problemsOf(parsed.error, cleaned, 'invalid', own, origin));
  const object = origin === undefined ? parsed.data : { ...parsed.data, origin };
  if (clustered) object.metadata.namespace = '';
  return { kind: 'object', object, problems: [] };
}

function splitApiVersion(apiVersion: string): readonly [group: string, version: string] {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
}

/** A name that cannot be one, as a part of a resource name that no other object can have. */
function escaped(name: string): string {
  return encodeURIComponent(name.toWellFormed()).slice(0, 253);
}

/** `metadata.annotations` and `spec.selector` of an object that is otherwise not understood, if they can be read. */
function readable(value: unknown): Pick<BrokenObject, 'selector' | 'annotations' | 'forWaypoints'> {
  const annotations = z
    .object({ metadata: z.object({ annotations: z.record(z.string(), z.string()) }) })
    .safeParse(value);
  const selector = z.object({ spec: z.object({ selector: selectorSchema }) }).safeParse(value);
  const targets = z
    .object({
      spec: z.object({ selector: z.undefined().optional(), targetRefs: z.array(z.object({})).min(1) }),
    })
    .safeParse(value);
  return {
    forWaypoints: targets.success,
    annotations: annotations.success ? annotations.data.metadata.annotations : {},
    selector: selector.success ? selector.data.spec.selector.matchLabels : undefined,
  };
}

function unsupportedKind(group: string, ref: ObjectRef, origin: Origin | undefined): readonly Problem[] {
  if (silentGroups.has(group) || (group === '' && silentKinds.has(ref.kind))) return [];
  const message = `${ref.kind}${group === '' ? '' : ` of ${group}`} is not handled by this version; it has no effect`;
  return [{ ...problemAt('unsupported-kind', message, ref, ['kind'], origin), severity: 'warning' }];
}

function problemAt(
  code: Problem['code'],
  message: string,
  object: ObjectRef | undefined,
  path: FieldPath,
  origin: Origin | undefined,
): Problem {
  const place = placeOf(origin, path);
  return {
    severity: 'error',
    code,
    message,
    field: formatPath(path),
    ...(object === undefined ? {} : { object }),
    ...(place === undefined ? {} : { place }),
  };
}

/** At most this many of one object: a list of thousands of wrong entries is one mistake. */
const problemsPerObjectMax = 20;

function problemsOf(
  error: z.ZodError,
  value: unknown,
  code: Problem['code'],
  object: ObjectRef | undefined,
  origin: Origin | undefined,
): readonly Problem[] {
  const problems: Problem[] = [];
  // Finding a place walks the object: only for those that are told.
  for (const issue of error.issues.slice(0, problemsPerObjectMax)) {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code !== 'unrecognized_keys') {
      problems.push(problemAt(code, describe(issue, valueAt(value, path)), object, path, origin));
      continue;
    }
    for (const key of issue.keys.slice(0, problemsPerObjectMax))
      problems.push(problemAt(code, 'there is no such field', object, [...path, key], origin));
  }
  return problems.slice(0, problemsPerObjectMax);
}

/** In an operator's words; zod's own where they will do. */
function describe(issue: z.core.$ZodIssue, found: unknown): string {
  const scalar = ['string', 'number', 'boolean'].includes(typeof found);
  const shown = scalar ? JSON.stringify(found).slice(0, 80) : Array.isArray(found) ? 'a list' : 'an object';
  if (issue.code === 'invalid_value') return `${shown} is not one of ${issue.values.map(String).join(', ')}`;
  if (issue.code !== 'invalid_type') return issue.message;
  if (found === undefined) return `is missing (${issue.expected} expected)`;
  if (issue.expected === 'string' && scalar)
    return `must be text: write "${String(found).slice(0, 80)}" in quotes`;
  return `must be ${issue.expected}, not ${shown}`;
}

function valueAt(value: unknown, path: FieldPath): unknown {
  let current = value;
  for (const step of path) {
    if (current === null || typeof current !== 'object' || !Object.hasOwn(current, step)) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}

/** A field that is null is a field that is absent, as in the Kubernetes API. Elements of lists stay. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, field]) => field !== null && field !== undefined);
  return Object.fromEntries(entries.map(([key, field]) => [key, withoutNulls(field)]));
}

const depthMax = 64;
/** Values of one object: far above what an API server keeps (1.5 MiB). */
const valuesMax = 500_000;

interface Abuse {
  readonly path: FieldPath;
  readonly message: string;
}

/** What must not be taken apart: a circle or what is too deep, what is too large by far, and a key that JavaScript's
 *  objects cannot hold and that would be passed over: a selector without it selects more. */
function findAbuse(value: unknown): Abuse | undefined {
  const path: (string | number)[] = [];
  let values = 0;
  const visit = (at: unknown): Abuse | undefined => {
    values += 1;
    if (values > valuesMax) return { path: [], message: `has more than ${valuesMax} values` };
    if (at === null || typeof at !== 'object') return undefined;
    if (path.length > depthMax)
      return { path: path.slice(0, 8), message: `is nested deeper than ${depthMax} levels` };
    if (Object.hasOwn(at, '__proto__'))
      return { path: [...path, '__proto__'], message: 'there is no such field' };
    for (const [key, field] of Array.isArray(at) ? at.entries() : Object.entries(at)) {
      path.push(key);
      const found = visit(field);
      if (found !== undefined) return found;
      path.pop();
    }
    return undefined;
  };
  return visit(value);
}
