// From objects to the mesh that nodes see. Pure and total: the same objects give the same records, in whatever order
// they were read, and nothing in an object makes it throw.
import type { IpAddress } from '../../mesh/address.ts';
import type { Policy } from '../../mesh/policy.ts';
import { policyKey } from '../../mesh/policy.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { ObjectSet, Pod } from '../objects/object-set.ts';
import { translateAuthorizationPolicies } from './authorization-policies.ts';
import type { SelectingPolicy } from './authorization-policies.ts';
import { reportAddressConflicts } from './conflicts.ts';
import { translateEndpoints } from './endpoints.ts';
import { Findings } from './findings.ts';
import { LabelIndex } from './label-index.ts';
import { warnOfWaypoint } from './labels.ts';
import type { PeerAuthentications } from './peer-authentications.ts';
import { translatePeerAuthentications } from './peer-authentications.ts';
import { nodeAddressesOf, podSettingsOf } from './pod-settings.ts';
import type { PodRecord } from './pods.ts';
import { translatePods } from './pods.ts';
import { selectedPods } from './policy-scope.ts';
import { translateServices } from './services.ts';
import type { MeshSettings, NodePod, Translation } from './settings.ts';

export function translate(objects: ObjectSet, settings: MeshSettings): Translation {
  const findings = new Findings();
  for (const kind of ['Namespace', 'Service', 'Pod'] as const)
    for (const object of objects[kind].values()) warnOfWaypoint(object, findings);
  const pods = translatePods(objects, settings, findings);
  const services = translateServices(objects, settings, findings);
  reportAddressConflicts(pods.values(), services.values(), findings);
  const labels = new LabelIndex<Pod>([...pods.values()].map(({ pod }) => pod));
  const endpoints = translateEndpoints(services, { objects, pods, labels, settings, findings });
  const authorization = translateAuthorizationPolicies(objects, settings, findings);
  const authentication = translatePeerAuthentications(objects, settings, findings);
  const selected = policiesOfPods(pods, labels, authorization, authentication, settings);

  const workloads = new Map<string, Workload>();
  for (const record of pods.values()) {
    if (record.addresses.length === 0) continue;
    const { uid, workload } = record;
    const member = endpoints.ofPods.get(uid) ?? workload.services;
    workloads.set(uid, { ...workload, services: member, policies: selected.get(uid) ?? [] });
  }
  for (const stranger of endpoints.strangers) workloads.set(stranger.uid, stranger);

  return {
    workloads,
    services: new Map([...services.values()].map(({ key, service }) => [key, service])),
    policies: policyTable(authorization, authentication),
    pods: nodePods(objects, pods, settings, findings),
    problems: findings.problems(),
  };
}

/** Keys of the policies that a workload must name, sorted: nodes reach policies with a selector no other way. */
function policiesOfPods(
  pods: ReadonlyMap<string, PodRecord>,
  labels: LabelIndex<Pod>,
  authorization: readonly SelectingPolicy[],
  authentication: PeerAuthentications,
  settings: MeshSettings,
): ReadonlyMap<string, readonly string[]> {
  const byPod = new Map<Pod, Set<string>>();
  for (const { policy, selector } of authorization) {
    if (selector === undefined) continue;
    for (const pod of selectedPods(policy.namespace, selector, labels, settings)) {
      const keys = byPod.get(pod) ?? new Set();
      byPod.set(pod, keys.add(policyKey(policy)));
    }
  }
  const result = new Map<string, readonly string[]>();
  for (const { uid, pod } of pods.values()) {
    const strict = authentication.keysFor(pod.metadata.namespace, pod.metadata.labels);
    const keys = [...(byPod.get(pod) ?? []), ...strict];
    if (keys.length > 0) result.set(uid, keys.sort());
  }
  return result;
}

function policyTable(
  authorization: readonly SelectingPolicy[],
  authentication: PeerAuthentications,
): ReadonlyMap<string, Policy> {
  const policies = [...authorization.map(({ policy }) => policy), ...authentication.policies];
  return new Map(policies.map((policy) => [policyKey(policy), policy]));
}

function nodePods(
  objects: ObjectSet,
  pods: ReadonlyMap<string, PodRecord>,
  settings: MeshSettings,
  findings: Findings,
): ReadonlyMap<string, NodePod> {
  const nodeAddresses = new Map<string, readonly IpAddress[]>();
  for (const [name, node] of objects.Node) nodeAddresses.set(name, nodeAddressesOf(node, findings));
  const result = new Map<string, NodePod>();
  for (const record of pods.values()) {
    const node = record.pod.spec.nodeName;
    if (node === '') continue;
    const addresses = nodeAddresses.get(node) ?? [];
    result.set(record.uid, { node, settings: podSettingsOf(record, addresses, settings, findings) });
  }
  return result;
}
