// Compares a captured namespace with what it should be. Somebody in the pod, or another agent, may have changed it.
import { type CaptureAddon, errnoName } from './capture-native.ts';
import { CAPTURE_ORIGIN, capturedRoutes, familiesOf, routeKey, ruleKey } from './capture-plan.ts';
import { type CapturedPod, outerInterfaces } from './capture-pod.ts';
import type { CaptureFault } from './capture-types.ts';

const LOOSE = 2;

/** Everything that is missing, changed or too much; empty if all is well. Repairs the map of own addresses. */
export function auditPod(addon: CaptureAddon, pod: CapturedPod): CaptureFault[] {
  const facts = pod.facts();
  const families = familiesOf(facts);
  const wanted = new Set(pod.wantedRules(facts).map(ruleKey));
  const rules = families.flatMap((family) => pod.rules(family));
  const ours = new Set(rules.filter((rule) => rule.origin === CAPTURE_ORIGIN).map(ruleKey));
  // The local rule at 100 may be another agent's, made before us.
  const all = new Set(rules.map(ruleKey));
  const routes = new Set(families.flatMap((family) => pod.routes(family)).map(routeKey));
  const faults: CaptureFault[] = [];
  const fault = (what: string, detail: string): void => void faults.push({ what, detail });

  for (const key of wanted) if (!all.has(key)) fault('rule missing', key);
  for (const key of ours) if (!wanted.has(key)) fault('rule too much', key);
  for (const family of families) {
    for (const route of capturedRoutes(family, facts)) {
      if (!routes.has(routeKey(route))) fault('route missing', routeKey(route));
    }
  }
  for (const link of outerInterfaces(facts)) {
    if (link.rpFilter !== LOOSE || link.acceptLocal !== 1) {
      fault(
        'interface settings',
        `${link.name}: rp_filter ${link.rpFilter}, accept_local ${link.acceptLocal}`,
      );
    }
    const guard = pod.native.checkGuard(link.index);
    if (guard < 0 && !pod.isReleased()) fault('guard missing', `${link.name}: ${errnoName(guard)}`);
  }
  const redirect = pod.native.checkRedirect();
  if (redirect < 0) fault('redirect missing', errnoName(redirect));
  for (const [name, slot] of Object.entries(addon.captureContract.listeners)) {
    if (pod.native.hasListener(slot) !== 1) fault('listener missing', name);
  }
  const changes = pod.check('list its own addresses', pod.native.syncAddresses());
  if (changes > 0) fault('own addresses', `${changes} had not been followed; mended`);
  return faults;
}
