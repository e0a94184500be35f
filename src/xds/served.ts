// From mesh records to resources as they are served. Encoded once; the version is a hash of the content, so that
// every replica gives equal content an equal version.
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { Policy } from '../mesh/policy.ts';
import { policyKey } from '../mesh/policy.ts';
import type { Service } from '../mesh/service.ts';
import { serviceKey } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';
import { addressAlias } from './codec-address.ts';
import { encodePod } from './codec-pod.ts';
import { encodePolicy } from './codec-policy.ts';
import { encodeService } from './codec-service.ts';
import { encodeWorkload } from './codec-workload.ts';
import { PodSchema } from './generated/culvert/node/pod_pb.ts';
import { AuthorizationSchema } from './generated/istio/security/authorization_pb.ts';
import { AddressSchema, WorkloadSchema } from './generated/istio/workload/workload_pb.ts';
import type { ServedResource } from './types.ts';

/** A workload as istio.workload.Address. Asking for one of its services brings it as well. */
export function serveWorkload(workload: Workload): ServedResource {
  const value = encodeWorkload(workload);
  const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'workload', value } }));
  return workloadResource(workload, bytes);
}

/** A workload as the legacy istio.workload.Workload. */
export function serveLegacyWorkload(workload: Workload): ServedResource {
  return workloadResource(workload, toBinary(WorkloadSchema, encodeWorkload(workload)));
}

/** A service as istio.workload.Address. */
export function serveService(service: Service): ServedResource {
  const value = encodeService(service);
  const bytes = toBinary(AddressSchema, create(AddressSchema, { type: { case: 'service', value } }));
  return { ...versioned(serviceKey(service), bytes), aliases: service.addresses.map(addressAlias) };
}

/** A policy as istio.security.Authorization. */
export function servePolicy(policy: Policy): ServedResource {
  return versioned(policyKey(policy), toBinary(AuthorizationSchema, encodePolicy(policy)));
}

/** A pod's settings as culvert.node.Pod. */
export function servePod(pod: PodSettings): ServedResource {
  return versioned(pod.uid, toBinary(PodSchema, encodePod(pod)));
}

function workloadResource(workload: Workload, bytes: Uint8Array): ServedResource {
  const { network } = workload;
  return {
    ...versioned(workload.uid, bytes),
    aliases: workload.addresses.map((ip) => addressAlias({ network, ip })),
    broughtBy: [...workload.services.keys()],
  };
}

function versioned(name: string, bytes: Uint8Array): ServedResource {
  const version = createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
  return { name, aliases: [], version, bytes };
}
