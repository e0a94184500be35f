// What translation needs to know beyond the objects themselves, and what it makes of them.
import type { PodSettings } from '../../mesh/pod-settings.ts';
import type { Policy } from '../../mesh/policy.ts';
import type { Service } from '../../mesh/service.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { Problem } from '../problem.ts';

export interface MeshSettings {
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Suffix of service host names: `cluster.local`. */
  readonly clusterDomain: string;
  /** Namespace whose policies hold for the whole mesh. */
  readonly rootNamespace: string;
  readonly network: string;
}

export const defaultMeshSettings: MeshSettings = {
  clusterId: 'Kubernetes',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'culvert-system',
  network: '',
};

/** What only the pod's own node is told. */
export interface NodePod {
  readonly node: string;
  readonly settings: PodSettings;
}

/** The mesh as nodes see it. Each map is by xDS resource name. */
export interface Translation {
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly services: ReadonlyMap<string, Service>;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly pods: ReadonlyMap<string, NodePod>;
  readonly problems: readonly Problem[];
}
