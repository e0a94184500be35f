// Addresses that two objects claim. Nodes give such an address to neither (src/mesh/snapshot.ts); here it is said why.
import type { IpAddress } from '../../mesh/address.ts';
import type { AnyObject } from '../objects/metadata.ts';
import { refOf } from '../objects/metadata.ts';
import { formatObjectRef } from '../problem.ts';
import type { Findings } from './findings.ts';
import type { PodRecord } from './pods.ts';
import type { ServiceRecord } from './services.ts';

interface Claim {
  readonly object: AnyObject;
  readonly field: string;
}

/** Reports every claimant but the first of each address, naming the first. Pods on the host's network share its
 *  addresses and claim none. */
export function reportAddressConflicts(
  pods: Iterable<PodRecord>,
  services: Iterable<ServiceRecord>,
  findings: Findings,
): void {
  const claims = new Map<IpAddress, Claim[]>();
  const claim = (address: IpAddress, object: AnyObject, field: string): void => {
    const known = claims.get(address);
    if (known === undefined) claims.set(address, [{ object, field }]);
    else known.push({ object, field });
  };
  for (const { pod, addresses } of pods)
    if (!pod.spec.hostNetwork) for (const address of addresses) claim(address, pod, 'status');
  for (const { spec, service } of services) for (const { ip } of service.addresses) claim(ip, spec, 'spec');
  for (const [address, claimants] of claims) {
    const [first, ...others] = claimants;
    if (first === undefined) continue;
    for (const { object, field } of others) {
      const message = `${address} is an address of ${formatObjectRef(refOf(first.object))} as well; nodes will use it for neither`;
      findings.error(object, 'conflict', [field], message);
    }
  }
}
