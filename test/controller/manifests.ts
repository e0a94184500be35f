// Objects from YAML, so that a test shows what an operator would write.
import assert from 'node:assert/strict';
import type { ObjectSet } from '../../src/controller/objects/object-set.ts';
import type { Problem } from '../../src/controller/problem.ts';
import { formatProblem } from '../../src/controller/problem.ts';
import { mergeFiles } from '../../src/controller/sources/directory/merge.ts';
import { parseYamlFile } from '../../src/controller/sources/directory/yaml-file.ts';
import type { MeshSettings, Translation } from '../../src/controller/translate/settings.ts';
import { translate } from '../../src/controller/translate/translate.ts';

export const settings: MeshSettings = {
  clusterId: 'test',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'root',
  network: '',
};

/** The objects of a text that is expected to be intact; broken objects in it are allowed. */
export function objectsOf(yaml: string): ObjectSet {
  const content = parseYamlFile('test.yaml', yaml);
  assert.ok(content.intact, content.problems.map(formatProblem).join('\n'));
  return mergeFiles([['test.yaml', content]], new Map()).objects;
}

export function translated(yaml: string): Translation {
  return translate(objectsOf(yaml), settings);
}

/** Problems as lines, without the file's name. */
export function linesOf(problems: readonly Problem[]): readonly string[] {
  return problems.map((problem) => formatProblem(problem).replace(/^test\.yaml:/, ''));
}

/** A pod that runs and is ready, in namespace shop and on node1 unless `spec` says otherwise. */
export function podYaml(
  name: string,
  address: string,
  more: { labels?: string; namespace?: string; spec?: string } = {},
): string {
  return `
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${more.namespace ?? 'shop'}, labels: { ${more.labels ?? ''} } }
spec: { serviceAccountName: ${name}, ${more.spec ?? 'nodeName: node1'} }
status: { phase: Running, conditions: [{ type: Ready, status: 'True' }], podIPs: [{ ip: '${address}' }] }
`;
}

/** An AuthorizationPolicy of namespace shop with this spec, as YAML on one line. */
export function policyYaml(
  name: string,
  spec: string,
  more: { namespace?: string; annotations?: string } = {},
): string {
  return `
---
apiVersion: security.culvert.dev/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${more.namespace ?? 'shop'}, annotations: { ${more.annotations ?? ''} } }
spec: ${spec}
`;
}

export function peerAuthenticationYaml(name: string, namespace: string, spec: string): string {
  return `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
`;
}
