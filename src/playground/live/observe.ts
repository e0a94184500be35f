// Asks all nodes for their connections. Where no ALLOW policy let a caller in, the policies that could have are named.
import { adminJson } from '../admin.ts';
import type { Mesh } from '../mesh.ts';
import type { ConnectionsReport } from './connections.ts';
import { observeNode } from './connections.ts';
import type { ObservedConnection } from './flows.ts';

interface ConfigDump {
  readonly workloads: readonly {
    readonly name: string;
    readonly namespace: string;
    readonly policies: readonly string[];
  }[];
  readonly policies: readonly {
    readonly name: string;
    readonly namespace: string;
    readonly scope: 'global' | 'namespace' | 'workload';
    readonly action: 'allow' | 'deny';
    readonly dryRun: boolean;
  }[];
}

/** What is open now and what has ended of late, over all nodes. A connection may be told again. */
export async function observeMesh(mesh: Mesh): Promise<readonly ObservedConnection[]> {
  const perNode = mesh.shop.nodes.map(async (node) => {
    const socket = mesh.adminSocket(node);
    const report = await adminJson<ConnectionsReport>(socket, '/connections');
    const unnamed = report.recent.some(({ reason, policy }) => reason === 'denied' && policy === null);
    const names = unnamed
      ? allowPoliciesOf(await adminJson<ConfigDump>(socket, '/config_dump'))
      : new Map<string, string>();
    return observeNode(node, report, (workload) => names.get(workload) ?? '');
  });
  return (await Promise.all(perNode)).flat();
}

/** By workload: the ALLOW policy that applies to it, with the count of further ones. */
export function allowPoliciesOf(dump: ConfigDump): ReadonlyMap<string, string> {
  const allow = dump.policies.filter(({ action, dryRun }) => action === 'allow' && !dryRun);
  return new Map(
    dump.workloads.map(({ name, namespace, policies }) => {
      const own = allow.filter(
        (policy) =>
          policy.scope === 'global' ||
          (policy.scope === 'namespace' && policy.namespace === namespace) ||
          (policy.scope === 'workload' && policies.includes(`${policy.namespace}/${policy.name}`)),
      );
      const [first] = own;
      return [name, first === undefined ? '' : `${first.name}${own.length > 1 ? ` +${own.length - 1}` : ''}`];
    }),
  );
}
