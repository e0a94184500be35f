// What a response brings, decoded: the good resources apply, the bad ones are named in the rejection.
import { fromBinary } from '@bufbuild/protobuf';
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { Policy } from '../mesh/policy.ts';
import type { Service } from '../mesh/service.ts';
import { serviceKey } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';
import { decodePod } from './codec-pod.ts';
import { decodePolicy } from './codec-policy.ts';
import { decodeService } from './codec-service.ts';
import { decodeWorkload } from './codec-workload.ts';
import type { InvalidResource } from './decoded.ts';
import { attempt } from './decoded.ts';
import { FieldError } from './errors.ts';
import { PodSchema } from './generated/culvert/node/pod_pb.ts';
import type {
  DeltaDiscoveryResponse,
  Resource,
} from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import { AddressSchema } from './generated/istio/workload/workload_pb.ts';
import type { AddressUpdate, PodUpdate, PolicyUpdate } from './types.ts';

export interface Received<U> {
  readonly update: U;
  readonly problems: readonly InvalidResource[];
}

type MeshAddress =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service };

export function receiveAddresses(response: DeltaDiscoveryResponse): Received<AddressUpdate> {
  const workloads: Workload[] = [];
  const services: Service[] = [];
  const problems = decodeEach(response, decodeAddress, (address) => {
    if (address.kind === 'workload') workloads.push(address.workload);
    else services.push(address.service);
  });
  return { update: { workloads, services, removed: response.removedResources }, problems };
}

/** A policy that cannot be understood is in both lists: it denies within its scope, and is reported. */
export function receivePolicies(response: DeltaDiscoveryResponse): Received<PolicyUpdate> {
  const policies: Policy[] = [];
  const problems: InvalidResource[] = [];
  for (const resource of response.resources) {
    const { policy, problem } = decodePolicy(resource.name, valueOf(resource));
    policies.push(policy);
    if (problem !== undefined) problems.push(problem);
  }
  return { update: { policies, removed: response.removedResources }, problems };
}

export function receivePods(response: DeltaDiscoveryResponse): Received<PodUpdate> {
  const pods: PodSettings[] = [];
  const decode = (name: string, bytes: Uint8Array): PodSettings => {
    const pod = decodePod(fromBinary(PodSchema, bytes));
    requireName(name, 'uid', pod.uid);
    return pod;
  };
  const problems = decodeEach(response, decode, (pod) => pods.push(pod));
  return { update: { pods, removed: response.removedResources }, problems };
}

function decodeAddress(name: string, bytes: Uint8Array): MeshAddress {
  const { type } = fromBinary(AddressSchema, bytes);
  switch (type.case) {
    case 'workload': {
      const workload = decodeWorkload(type.value);
      requireName(name, 'uid', workload.uid);
      return { kind: 'workload', workload };
    }
    case 'service': {
      const service = decodeService(type.value);
      requireName(name, 'hostname', serviceKey(service));
      return { kind: 'service', service };
    }
    default:
      throw new FieldError('type', 'is neither a workload nor a service');
  }
}

/** Removals come by name: a resource under another name could never be removed. */
function requireName(name: string, field: string, own: string): void {
  if (own !== name) throw new FieldError(field, `makes the name ${own}`);
}

function decodeEach<T>(
  response: DeltaDiscoveryResponse,
  decode: (name: string, bytes: Uint8Array) => T,
  keep: (value: T) => void,
): InvalidResource[] {
  const problems: InvalidResource[] = [];
  for (const resource of response.resources) {
    const decoded = attempt(resource.name, () => decode(resource.name, valueOf(resource)));
    if (decoded.kind === 'valid') keep(decoded.value);
    else problems.push(decoded.problem);
  }
  return problems;
}

function valueOf(resource: Resource): Uint8Array {
  return resource.resource?.value ?? new Uint8Array();
}
