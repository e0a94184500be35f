// One captured pod: every step is idempotent, tells the undo log what it changed, and throws if it fails.
import { constants } from 'node:os';
import {
  type CaptureAddon,
  checked,
  type Family,
  type NativeCapture,
  type NativeInterface,
  type NativePodState,
  type NativeRoute,
  type NativeRule,
  AF_INET,
  AF_INET6,
  FR_ACT_TO_TBL,
  RT_TABLE_LOCAL,
  RTPROT_KERNEL,
} from './capture-native.ts';
import {
  CAPTURE_ORIGIN,
  CAPTURE_TABLE,
  capturedRoutes,
  divertingRules,
  exceptionRules,
  familiesOf,
  type Marks,
  type NamespaceFacts,
  passEntries,
  type PodPlanInput,
  preparingRules,
  releasedRules,
  routeKey,
  ruleKey,
} from './capture-plan.ts';
import type { UndoLog } from './capture-undo.ts';
import type { Listeners } from './types.ts';

const { EEXIST, ENOENT, ESRCH, ENODEV, EINVAL, EOPNOTSUPP, EADDRNOTAVAIL } = constants.errno;
const RP_FILTER_LOOSE = 2;
const FAMILIES: readonly Family[] = [AF_INET, AF_INET6];

/** `from all lookup local` where the kernel puts it. */
function localRule(family: Family): NativeRule {
  return { family, priority: 0, action: FR_ACT_TO_TBL, table: RT_TABLE_LOCAL, origin: RTPROT_KERNEL };
}

export interface PodOptions {
  readonly hbonePort: number;
  readonly marks: Marks;
  /** `auto`: tcx where the kernel has it (6.6), else a filter on a clsact queueing discipline. */
  readonly guardHook: 'auto' | 'tcx' | 'clsact';
}

export class CapturedPod {
  readonly id: string;
  readonly cookie: bigint;
  plan: PodPlanInput;
  readonly #addon: CaptureAddon;
  readonly #native: NativeCapture;
  readonly #options: PodOptions;

  constructor(
    addon: CaptureAddon,
    native: NativeCapture,
    id: string,
    cookie: bigint,
    plan: PodPlanInput,
    options: PodOptions,
  ) {
    this.#addon = addon;
    this.#native = native;
    this.id = id;
    this.cookie = cookie;
    this.plan = plan;
    this.#options = options;
  }

  get native(): NativeCapture {
    return this.#native;
  }

  facts(): NamespaceFacts {
    return {
      interfaces: this.check('list interfaces', this.#native.interfaces()),
      addresses: this.check('list addresses', this.#native.addresses()),
      firstEphemeralPort: this.check('read ip_local_port_range', this.#native.firstEphemeralPort()),
    };
  }

  state(): NativePodState {
    return this.check('read its state', this.#native.readState());
  }

  writeState(change: Partial<NativePodState>): void {
    this.check('write its state', this.#native.writeState({ ...this.state(), ...change }));
  }

  /** rp_filter and accept_local, as found before capture kept for `restoreInterfaces`. */
  prepareInterfaces(facts: NamespaceFacts, undo: UndoLog): void {
    const saved = new Set(this.savedLinks().map((link) => link.interface));
    for (const link of outerInterfaces(facts)) {
      if (!saved.has(link.index)) {
        this.check(
          `note the settings of ${link.name}`,
          this.#native.saveLink(link.index, link.rpFilter, link.acceptLocal, false),
        );
      }
      if (link.rpFilter === RP_FILTER_LOOSE && link.acceptLocal === 1) continue;
      this.check(
        `set rp_filter and accept_local of ${link.name}`,
        this.#native.setInterface(link.index, RP_FILTER_LOOSE, 1),
      );
      undo.add(() => {
        this.check(
          `restore ${link.name}`,
          this.#native.setInterface(link.index, link.rpFilter, link.acceptLocal),
        );
      });
    }
  }

  fillMaps(listeners: Listeners): void {
    const slots = this.#addon.captureContract.listeners;
    this.check('list its own addresses', this.#native.syncAddresses());
    this.applyPassEntries();
    this.check('use the outbound listener', this.#native.setListener(slots.outbound, listeners.outbound));
    this.check('use the plaintext listener', this.#native.setListener(slots.plaintext, listeners.plaintext));
    this.check('use the HBONE listener', this.#native.setListener(slots.hbone, listeners.hbone));
  }

  applyPassEntries(): void {
    const entries = passEntries(this.plan, this.#addon.captureContract.directions);
    this.check('set pass entries', this.#native.setPassEntries(entries));
  }

  attachRedirect(): void {
    this.check('attach the redirect', this.#native.attachRedirect());
  }

  /** `replace`: also where one is, so that it is this build's program. */
  attachGuards(facts: NamespaceFacts, undo: UndoLog, replace: boolean): void {
    for (const link of outerInterfaces(facts)) {
      const missing = this.#native.checkGuard(link.index) < 0;
      if (!missing && !replace) continue;
      const made = this.check(`attach the egress guard to ${link.name}`, this.#attachGuard(link.index));
      if (made === 1) this.#rememberClsact(link.index);
      if (missing) undo.add(() => void this.#native.detachGuard(link.index, made === 1));
    }
  }

  #attachGuard(index: number): number {
    const { guardHook } = this.#options;
    if (guardHook === 'clsact') return this.#native.attachGuard(index, true);
    const status = this.#native.attachGuard(index, false);
    // How a kernel answers that does not know tcx, or was built without it.
    const unknown = status === -EINVAL || status === -EOPNOTSUPP;
    return guardHook === 'auto' && unknown ? this.#native.attachGuard(index, true) : status;
  }

  #rememberClsact(index: number): void {
    const saved = this.savedLinks().find((link) => link.interface === index);
    if (saved === undefined) return;
    this.check(
      'note a queueing discipline',
      this.#native.saveLink(index, saved.rpFilter, saved.acceptLocal, true),
    );
  }

  putRoutes(facts: NamespaceFacts, undo: UndoLog): void {
    for (const family of familiesOf(facts)) {
      const present = this.routes(family);
      for (const route of capturedRoutes(family, facts)) {
        if (present.some((other) => routeKey(other) === routeKey(route))) continue;
        // An IPv6 address may not be a source before duplicate detection; the next address event tries again.
        const tried = this.#native.putRoute(route);
        if (tried === -EADDRNOTAVAIL || tried === -EINVAL) {
          this.check('add a route without a source', this.#native.putRoute(withoutSource(route)));
        } else this.check('add a route', tried);
        const replaced = present.find((other) => sameDestination(other, route));
        undo.add(() => {
          this.check('delete a route', this.#native.deleteRoute(route));
          if (replaced !== undefined) this.check('restore a route', this.#native.putRoute(replaced));
        });
      }
    }
  }

  /** Rules 100, 40 and 41, and the kernel's rule 0 away. Diverts nothing yet. */
  putPreparingRules(facts: NamespaceFacts, undo: UndoLog): void {
    for (const family of familiesOf(facts)) {
      for (const rule of preparingRules(family, this.#options.marks)) this.addRule(rule, undo);
      this.#moveLocalRule(family, undo);
    }
  }

  #moveLocalRule(family: Family, undo: UndoLog): void {
    const bit = family === AF_INET ? 1 : 2;
    const local = localRule(family);
    if (!this.rules(family).some((rule) => ruleKey(rule) === ruleKey(local))) return;
    const { movedLocalRule } = this.state();
    this.writeState({ movedLocalRule: movedLocalRule | bit });
    // Whoever made it: the origin is no part of what the kernel compares if it is 0.
    this.check('move the local rule', this.#native.deleteRule({ ...local, origin: 0 }));
    undo.add(() => {
      this.check('restore the local rule', this.#native.addRule(local));
      this.writeState({ movedLocalRule });
    });
  }

  putExceptionRules(facts: NamespaceFacts, undo: UndoLog): void {
    for (const family of familiesOf(facts)) {
      for (const rule of exceptionRules(family, this.plan, facts)) this.addRule(rule, undo);
    }
  }

  putDivertingRules(facts: NamespaceFacts, undo: UndoLog): void {
    for (const family of familiesOf(facts)) {
      for (const rule of divertingRules(family)) this.addRule(rule, undo);
    }
  }

  putReleasedRules(facts: NamespaceFacts, undo: UndoLog): void {
    for (const family of familiesOf(facts)) {
      for (const rule of releasedRules(family, this.#options.marks)) this.addRule(rule, undo);
    }
  }

  /** Deletes those of our rules that are not in the plan of this phase. */
  deleteSurplusRules(facts: NamespaceFacts, undo: UndoLog): void {
    const wanted = new Set(this.wantedRules(facts).map(ruleKey));
    for (const family of familiesOf(facts)) {
      for (const rule of this.rules(family)) {
        if (rule.origin !== CAPTURE_ORIGIN || wanted.has(ruleKey(rule))) continue;
        if (!this.tolerate('delete a rule', this.#native.deleteRule(rule), ENOENT)) continue;
        undo.add(() => this.tolerate('restore a rule', this.#native.addRule(rule), EEXIST));
      }
    }
  }

  /** All rules of the current phase. */
  wantedRules(facts: NamespaceFacts): NativeRule[] {
    const { marks } = this.#options;
    const released = this.isReleased();
    return familiesOf(facts).flatMap((family) => [
      ...preparingRules(family, marks),
      ...(released
        ? releasedRules(family, marks)
        : [...exceptionRules(family, this.plan, facts), ...divertingRules(family)]),
    ]);
  }

  isReleased(): boolean {
    return this.state().phase === this.#addon.captureContract.phases.released;
  }

  /** True if this namespace diverts connections already, by an earlier attach. */
  isDiverting(): boolean {
    const present = new Set(this.rules(AF_INET).map(ruleKey));
    return divertingRules(AF_INET).every((rule) => present.has(ruleKey(rule)));
  }

  addRule(rule: NativeRule, undo: UndoLog): void {
    if (!this.tolerate(`add rule ${ruleKey(rule)}`, this.#native.addRule(rule), EEXIST)) return;
    undo.add(() => this.tolerate('delete a rule', this.#native.deleteRule(rule), ENOENT));
  }

  /** Everything that is in the namespace itself away, whatever phase it was in. Never stops half-way. */
  clearNamespace(undoFailures: unknown[]): void {
    const attempt = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        undoFailures.push(error);
      }
    };
    const { movedLocalRule } = this.state();
    for (const family of FAMILIES) {
      // The diverting rules first: from then on every new packet goes its ordinary way.
      attempt(() => {
        const ours = this.rules(family).filter((rule) => rule.origin === CAPTURE_ORIGIN);
        const moved = (movedLocalRule & (family === AF_INET ? 1 : 2)) !== 0;
        const last = ours.filter((rule) => rule.table === RT_TABLE_LOCAL);
        for (const rule of ours.filter((rule) => rule.table !== RT_TABLE_LOCAL)) {
          this.tolerate('delete a rule', this.#native.deleteRule(rule), ENOENT);
        }
        if (moved) this.tolerate('restore the local rule', this.#native.addRule(localRule(family)), EEXIST);
        for (const rule of last) this.tolerate('delete a rule', this.#native.deleteRule(rule), ENOENT);
      });
      attempt(() => {
        for (const route of this.routes(family)) {
          this.tolerate('delete a route', this.#native.deleteRoute(route), ESRCH);
        }
      });
    }
    attempt(() => {
      for (const link of this.savedLinks()) {
        this.#native.detachGuard(link.interface, link.madeClsact);
        this.tolerate(
          'restore an interface',
          this.#native.setInterface(link.interface, link.rpFilter, link.acceptLocal),
          ENODEV,
        );
      }
    });
    attempt(() => this.check('forget the listeners', this.#native.removeListeners()));
  }

  rules(family: Family): NativeRule[] {
    return this.check('list rules', this.#native.rules(family)).filter((rule) => rule.foreign !== true);
  }

  routes(family: Family): NativeRoute[] {
    return this.check('list routes', this.#native.routes(family, CAPTURE_TABLE)).filter(
      (route) => route.origin === CAPTURE_ORIGIN,
    );
  }

  savedLinks(): ReturnType<NativeCapture['savedLinks']> & object {
    return this.check('read saved settings', this.#native.savedLinks());
  }

  check<T>(step: string, result: T | number): T {
    return checked(this.#addon, this.id, step, result);
  }

  /** False if it failed with `errno`, which means that there was nothing to do. */
  tolerate(step: string, result: number, errno: number): boolean {
    if (result === -errno) return false;
    this.check(step, result);
    return true;
  }
}

/** Every interface that a packet can leave the pod by. */
export function outerInterfaces(facts: NamespaceFacts): NativeInterface[] {
  return facts.interfaces.filter((link) => !link.loopback);
}

function withoutSource(route: NativeRoute): NativeRoute {
  const { source: _, ...rest } = route;
  return rest;
}

function sameDestination(one: NativeRoute, other: NativeRoute): boolean {
  return routeKey(withoutSource(one)) === routeKey(withoutSource(other));
}
