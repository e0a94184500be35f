// Where a policy holds: in the whole mesh, in its namespace, or for the workloads that it selects.
import type { Policy } from '../../mesh/policy.ts';
import type { Pod } from '../objects/object-set.ts';
import type { LabelIndex } from './label-index.ts';
import type { Labels } from './labels.ts';
import type { MeshSettings } from './settings.ts';

/** A selector without labels selects everything, as no selector does. */
export function scopeOf(
  namespace: string,
  selector: Labels | undefined,
  settings: MeshSettings,
): Policy['scope'] {
  if (selector !== undefined && Object.keys(selector).length > 0) return 'workload';
  return namespace === settings.rootNamespace ? 'global' : 'namespace';
}

/** The pods that a policy selects: of its own namespace, or of all for one of the root namespace. */
export function selectedPods(
  namespace: string,
  selector: Labels,
  pods: LabelIndex<Pod>,
  settings: MeshSettings,
): readonly Pod[] {
  return namespace === settings.rootNamespace
    ? pods.selectAnywhere(selector)
    : pods.select(namespace, selector);
}
