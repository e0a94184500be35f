// Everything that a source holds at one instant. Never changes; a source makes the next one.
import type { z } from 'zod';
import type { Origin, Problem } from '../problem.ts';
import type { namespaceSchema, nodeSchema, serviceAccountSchema } from './core.ts';
import type { AnyObject } from './metadata.ts';
import type { podSchema } from './pod.ts';
import type { authorizationPolicySchema, peerAuthenticationSchema } from './policy.ts';
import type { endpointSliceSchema, serviceSchema } from './service.ts';

interface Sourced {
  readonly origin?: Origin | undefined;
}

export type Namespace = z.infer<typeof namespaceSchema> & Sourced;
export type Node = z.infer<typeof nodeSchema> & Sourced;
export type ServiceAccount = z.infer<typeof serviceAccountSchema> & Sourced;
export type Pod = z.infer<typeof podSchema> & Sourced;
export type Service = z.infer<typeof serviceSchema> & Sourced;
export type EndpointSlice = z.infer<typeof endpointSliceSchema> & Sourced;
export type AuthorizationPolicy = z.infer<typeof authorizationPolicySchema> & Sourced;
export type PeerAuthentication = z.infer<typeof peerAuthenticationSchema> & Sourced;

export interface Kinds {
  readonly Namespace: Namespace;
  readonly Node: Node;
  readonly ServiceAccount: ServiceAccount;
  readonly Pod: Pod;
  readonly Service: Service;
  readonly EndpointSlice: EndpointSlice;
  readonly AuthorizationPolicy: AuthorizationPolicy;
  readonly PeerAuthentication: PeerAuthentication;
}

export type Kind = keyof Kinds;
export type MeshObject = Kinds[Kind];

/** An object whose name is known and whose content cannot be understood. What it might have forbidden stays forbidden. */
export interface BrokenObject {
  readonly kind: Kind;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly name: string;
  /** Present if that much could be read: the workloads it is about. */
  readonly selector?: Readonly<Record<string, string>> | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  /** A policy that says that waypoints enforce it, not nodes. */
  readonly forWaypoints: boolean;
  readonly origin?: Origin | undefined;
  readonly problems: readonly Problem[];
}

export type ObjectSet = {
  /** By `objectKey`. */
  readonly [K in Kind]: ReadonlyMap<string, Kinds[K]>;
} & { readonly broken: readonly BrokenObject[] };

/** `namespace/name`, or the name alone for kinds without namespaces. Two API groups may hold a policy of one name. */
export function objectKey(object: {
  readonly apiVersion?: string;
  readonly namespace: string;
  readonly name: string;
}): string {
  const key = object.namespace === '' ? object.name : `${object.namespace}/${object.name}`;
  return object.apiVersion?.startsWith('security.istio.io/') === true ? `${key}@security.istio.io` : key;
}

/** An object set of these objects; of two with the same key the later one is taken. */
export function objectSet(objects: Iterable<MeshObject>, broken: readonly BrokenObject[] = []): ObjectSet {
  const maps: { [K in Kind]: Map<string, MeshObject> } = {
    Namespace: new Map(),
    Node: new Map(),
    ServiceAccount: new Map(),
    Pod: new Map(),
    Service: new Map(),
    EndpointSlice: new Map(),
    AuthorizationPolicy: new Map(),
    PeerAuthentication: new Map(),
  };
  for (const object of objects) maps[object.kind].set(keyOf(object), object);
  return { ...maps, broken } as ObjectSet;
}

/** `objectKey` of a whole object. */
export function keyOf(object: MeshObject): string {
  const { namespace, name } = (object as AnyObject).metadata;
  return objectKey({ ...('apiVersion' in object ? { apiVersion: object.apiVersion } : {}), namespace, name });
}
