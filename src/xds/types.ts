// The contract of the control channel: what a controller serves and what a node receives.
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { Policy } from '../mesh/policy.ts';
import type { Service } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';

export const typeUrls = {
  address: 'type.googleapis.com/istio.workload.Address',
  /** Legacy: workloads alone. */
  workload: 'type.googleapis.com/istio.workload.Workload',
  authorization: 'type.googleapis.com/istio.security.Authorization',
  /** Culvert's own: settings of the asking node's pods. */
  pod: 'type.googleapis.com/culvert.node.Pod',
} as const;

export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls];

/** A resource as it is served: encoded once, whoever asks. */
export interface ServedResource {
  /** Key within its type: uid, `namespace/hostname` or `namespace/name`. */
  readonly name: string;
  /** Other names it may be asked for by (`network/ip`). */
  readonly aliases: readonly string[];
  /** Names of resources that bring this one along when they are asked for on demand: a workload's services. */
  readonly broughtBy?: readonly string[];
  /** Content hash: equal content has equal versions on every replica. */
  readonly version: string;
  /** The encoded message, without the Any around it. */
  readonly bytes: Uint8Array;
}

/** What a node or waypoint has proven of itself. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The node it runs on, if its credentials say so; only such a caller may ask for other workloads' certificates. */
  readonly node?: string;
  /** For logs. */
  readonly name: string;
}

/** Checks a bearer token. Undefined: not accepted. On one machine a token file; on Kubernetes a TokenReview. */
export interface Authenticator {
  authenticate(token: string, signal: AbortSignal): Promise<Caller | undefined>;
}

/** Where the server gets what it serves. Reads are synchronous and cheap; `subscribe` tells that something changed. */
export interface ResourceSource {
  /** All resources of a type that this caller may see, by name. The map is immutable: compare by identity. */
  resources(type: TypeUrl, caller: Caller): ReadonlyMap<string, ServedResource>;
  /** False until the first complete snapshot: streams wait. */
  readonly ready: boolean;
  /** Calls back (coalesced) after each change. Returns the function that ends it. */
  subscribe(changed: () => void): () => void;
}

/** Answers CreateCertificate. */
export interface CertificateSigner {
  /** `uri` is the identity asked for. Throws an error with a stable code if the caller may not have it. */
  sign(request: {
    readonly caller: Caller;
    readonly csrPem: string;
    readonly validityMs: number;
    /** `ImpersonatedIdentity` of the request's metadata, if given. */
    readonly impersonatedIdentity?: string;
  }): Promise<readonly string[]>;
}

/** What an update brought, decoded. A resource that cannot be decoded is in `invalid` and is NACKed; the rest applies. */
export interface AddressUpdate {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly removed: readonly string[];
}

export interface PolicyUpdate {
  readonly policies: readonly Policy[];
  readonly removed: readonly string[];
}

export interface PodUpdate {
  readonly pods: readonly PodSettings[];
  readonly removed: readonly string[];
}
