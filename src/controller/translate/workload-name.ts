// What a pod is a part of: the Deployment, Job or CronJob whose name people know it by.
import type { WorkloadType } from '../../mesh/workload.ts';
import type { Pod } from '../objects/object-set.ts';

/** The owner's name and type; the pod's own name if nobody owns it. Names are taken apart as Kubernetes makes them:
 *  a ReplicaSet is `<deployment>-<pod-template-hash>`, a CronJob's Job is `<cronjob>-<minutes since 1970>`. */
export function workloadNameOf(pod: Pod): { readonly name: string; readonly type: WorkloadType } {
  const { name, ownerReferences, labels } = pod.metadata;
  const owner = ownerReferences.find(({ controller }) => controller);
  if (owner === undefined) return { name, type: 'pod' };
  const hash = labels['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    const deployment = owner.name.slice(0, -hash.length - 1);
    if (deployment !== '') return { name: deployment, type: 'deployment' };
  }
  if (owner.kind === 'Job') {
    const cronJob = /^(.+)-\d{8,10}$/.exec(owner.name)?.[1];
    return cronJob === undefined ? { name: owner.name, type: 'job' } : { name: cronJob, type: 'cronjob' };
  }
  return { name: owner.name, type: 'pod' };
}
