// Puts pods under capture and takes them out again. What it attaches is pinned, so it stays when this process ends
// and a later process adopts it; without its listeners the programs drop, so nothing is ever sent in plaintext.
import { auditPod } from './capture-audit.ts';
import {
  captureAddon,
  type CaptureAddon,
  checked,
  type NativeCapture,
  type NativeSocketMarker,
} from './capture-native.ts';
import { withNamespace } from './capture-namespaces.ts';
import { PinStore } from './capture-pins.ts';
import { type Marks, planFault, type PodPlanInput } from './capture-plan.ts';
import { CapturedPod, type PodOptions } from './capture-pod.ts';
import type { Capture, CaptureCounters, CaptureFault, CaptureResult, CaptureSpec } from './capture-types.ts';
import { UndoLog } from './capture-undo.ts';
import { EngineError } from './errors.ts';
import { noExclusions } from '../mesh/pod-settings.ts';
import type { Listeners } from './types.ts';

export interface CaptureOptions {
  /** Where bpffs is, or is mounted if it is not. */
  readonly bpffs: string;
  /** SO_MARK of ztunnel's sockets; the next two numbers mark released and kept connections. */
  readonly mark: number;
  readonly hbonePort: number;
  readonly guardHook: PodOptions['guardHook'];
  /** A pod's namespace changed and capture could not follow. Called from the event loop. */
  readonly onFault: (podId: string, error: unknown) => void;
}

export const captureDefaults: Omit<CaptureOptions, 'onFault'> = {
  bpffs: '/sys/fs/bpf',
  mark: 0x539,
  hbonePort: 15008,
  guardHook: 'auto',
};

const UNMARKED = 0;

export class KernelCapture implements Capture {
  readonly #addon: CaptureAddon;
  readonly #pins: PinStore;
  readonly #marker: NativeSocketMarker;
  readonly #marks: Marks;
  readonly #options: CaptureOptions;
  readonly #pods = new Map<string, CapturedPod>();

  private constructor(addon: CaptureAddon, pins: PinStore, options: CaptureOptions) {
    this.#addon = addon;
    this.#pins = pins;
    this.#options = options;
    this.#marks = { ztunnel: options.mark, released: options.mark + 1, kept: options.mark + 2 };
    this.#marker = new addon.SocketMarker();
    checked(addon, 'any pod', 'load the socket iterator', this.#marker.load());
  }

  /** Throws an EngineError if the addon, bpffs or the kernel's socket iterator is missing. */
  static open(
    options: Partial<CaptureOptions> & Pick<CaptureOptions, 'onFault'>,
    addon = captureAddon(),
  ): KernelCapture {
    const all = { ...captureDefaults, ...options };
    return new KernelCapture(addon, PinStore.open(addon, all.bpffs), all);
  }

  attach(spec: CaptureSpec): CaptureResult {
    rejectFaulty(spec);
    const netnsCookie = this.#cookieOf(spec);
    const known = this.#pods.get(spec.podId);
    // The same id in another namespace: the sandbox was made anew.
    if (known !== undefined && known.cookie !== netnsCookie) this.detach(spec.podId);
    const undo = new UndoLog();
    try {
      const opened = this.#pods.get(spec.podId);
      const { pod, adopted } =
        opened === undefined ? this.#open(spec, netnsCookie, undo) : { pod: opened, adopted: false };
      const before = pod.plan;
      undo.add(() => (pod.plan = before));
      pod.plan = spec;
      const keptConnections = this.#install(pod, spec.listeners, undo);
      this.#pods.set(spec.podId, pod);
      this.#pins.removeStale(spec.podId);
      return { adopted, keptConnections, netnsCookie };
    } catch (error) {
      undo.rollBack();
      throw error;
    }
  }

  update(spec: Omit<CaptureSpec, 'netns' | 'listeners'>): void {
    rejectFaulty(spec);
    const pod = this.#attached(spec.podId);
    const undo = new UndoLog();
    const before = pod.plan;
    try {
      pod.plan = spec;
      if (pod.isReleased()) return;
      const facts = pod.facts();
      pod.applyPassEntries();
      undo.add(() => pod.applyPassEntries());
      undo.add(() => (pod.plan = before));
      pod.putExceptionRules(facts, undo);
      pod.deleteSurplusRules(facts, undo);
    } catch (error) {
      pod.plan = before;
      undo.rollBack();
      throw error;
    }
  }

  release(podId: string): void {
    const pod = this.#attached(podId);
    if (pod.isReleased()) return;
    const { paths, phases } = this.#addon.captureContract;
    const undo = new UndoLog();
    try {
      const facts = pod.facts();
      pod.putReleasedRules(facts, undo);
      this.#mark(pod, UNMARKED, this.#marks.released, paths.any);
      pod.writeState({ phase: phases.released });
      undo.add(() => pod.writeState({ phase: phases.captured }));
      pod.deleteSurplusRules(facts, undo);
      // Connections that were captured between the two steps.
      this.#mark(pod, UNMARKED, this.#marks.released, paths.loopback);
    } catch (error) {
      undo.rollBack();
      throw error;
    }
  }

  detach(podId: string): void {
    const pod = this.#pods.get(podId);
    const failures: unknown[] = [];
    if (pod !== undefined) {
      pod.clearNamespace(failures);
      this.#pods.delete(podId);
      pod.native.close();
    } else if (this.#pins.has(podId)) {
      this.#detachPinned(podId, failures);
    }
    this.#pins.remove(podId);
    this.#pins.removeStale(podId);
    if (failures.length > 0) throw failures[0];
  }

  audit(podId: string): readonly CaptureFault[] {
    return auditPod(this.#addon, this.#attached(podId));
  }

  counters(podId: string): CaptureCounters {
    const pod = this.#attached(podId);
    const values = pod.check('read counters', pod.native.counters());
    const names = this.#addon.captureContract.counters;
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? 0n]));
  }

  keptConnections(podId: string): number {
    return this.#countKept(this.#attached(podId));
  }

  closeKept(podId: string): number {
    const pod = this.#attached(podId);
    return pod.check('close connections older than capture', pod.native.closeConnections(this.#marks.kept));
  }

  pinned(): readonly string[] {
    return this.#pins.podIds();
  }

  close(): void {
    for (const pod of this.#pods.values()) pod.native.close();
    this.#pods.clear();
  }

  #attached(podId: string): CapturedPod {
    const pod = this.#pods.get(podId);
    if (pod === undefined) {
      throw new EngineError(
        'ERR_CULVERT_CAPTURE_UNKNOWN_POD',
        `pod ${podId} is not captured by this process`,
      );
    }
    return pod;
  }

  #cookieOf(spec: CaptureSpec): bigint {
    return checked(
      this.#addon,
      spec.podId,
      'read the cookie of its network namespace',
      this.#addon.netnsCookie(spec.netns),
    ) as bigint;
  }

  /** Loads the programs over the maps that an earlier process pinned for this namespace, or over new ones. */
  #open(spec: CaptureSpec, cookie: bigint, undo: UndoLog): { pod: CapturedPod; adopted: boolean } {
    const native = new this.#addon.Capture();
    undo.add(() => native.close());
    const pod = new CapturedPod(this.#addon, native, spec.podId, cookie, spec, {
      hbonePort: this.#options.hbonePort,
      marks: this.#marks,
      guardHook: this.#options.guardHook,
    });
    pod.check('enter its network namespace', native.open(spec.netns));
    if (this.#adopt(pod)) return { pod, adopted: true };
    if (this.#pins.has(spec.podId)) {
      this.#pins.setAside(spec.podId);
      undo.add(() => this.#pins.bringBack(spec.podId));
    }
    const directory = this.#pins.make(spec.podId);
    undo.add(() => this.#pins.remove(spec.podId));
    pod.check('load its programs', this.#load(native, directory));
    pod.check(
      'write its state',
      native.writeState({
        netnsCookie: cookie,
        phase: this.#addon.captureContract.phases.captured,
        layout: this.#addon.captureContract.layout,
        movedLocalRule: 0,
      }),
    );
    return { pod, adopted: false };
  }

  /** False if there are no pins, or they are of another namespace or another layout of maps. */
  #adopt(pod: CapturedPod): boolean {
    if (!this.#pins.has(pod.id)) return false;
    if (this.#load(pod.native, this.#pins.directory(pod.id)) < 0) {
      this.#addon.takeText();
      return false;
    }
    const state = pod.state();
    return state.netnsCookie === pod.cookie && state.layout === this.#addon.captureContract.layout;
  }

  #load(native: NativeCapture, directory: string): number {
    return native.load(directory, this.#options.hbonePort, this.#marks.ztunnel, this.#marks.kept);
  }

  /** Returns how many connections are older than capture. */
  #install(pod: CapturedPod, listeners: Listeners, undo: UndoLog): number {
    const { paths, phases } = this.#addon.captureContract;
    const facts = pod.facts();
    const diverting = pod.isDiverting() && !pod.isReleased();
    const { phase } = pod.state();

    pod.prepareInterfaces(facts, undo);
    pod.fillMaps(listeners);
    pod.putRoutes(facts, undo);
    pod.attachRedirect();
    pod.writeState({ phase: phases.captured });
    undo.add(() => pod.writeState({ phase }));
    pod.putPreparingRules(facts, undo);
    const kept = diverting ? 0 : this.#keep(pod, paths.notLoopback, undo);
    pod.attachGuards(facts, undo, true);
    pod.putExceptionRules(facts, undo);
    pod.putDivertingRules(facts, undo);
    // Handshakes that ended in between.
    const keptSince = diverting ? 0 : this.#keep(pod, paths.outside, undo);
    pod.deleteSurplusRules(facts, undo);
    pod.check(
      'follow its addresses',
      pod.native.watch((status) => this.#follow(pod, status)),
    );
    return diverting ? this.#countKept(pod) : kept + keptSince;
  }

  /** Addresses or interfaces came or went; the map of own addresses is current already. */
  #follow(pod: CapturedPod, status: number): void {
    try {
      pod.check('list its own addresses', status);
      const facts = pod.facts();
      const undo = new UndoLog();
      pod.prepareInterfaces(facts, undo);
      pod.putRoutes(facts, undo);
      pod.putPreparingRules(facts, undo);
      if (pod.isReleased()) {
        pod.putReleasedRules(facts, undo);
        return;
      }
      pod.attachGuards(facts, undo, false);
      pod.putExceptionRules(facts, undo);
      pod.putDivertingRules(facts, undo);
    } catch (error) {
      this.#options.onFault(pod.id, error);
    }
  }

  /** Lets existing connections live on uncaptured. Returns how many there were. */
  #keep(pod: CapturedPod, over: number, undo: UndoLog): number {
    // Before its first process a pod has no socket but our listeners; to look is to walk the machine's whole table.
    const sockets = pod.check('count its sockets', this.#addon.tcpSockets(pod.native.netns()));
    if (sockets <= Object.keys(this.#addon.captureContract.listeners).length) return 0;
    undo.add(() => void this.#mark(pod, this.#marks.kept, UNMARKED, this.#addon.captureContract.paths.any));
    return this.#mark(pod, UNMARKED, this.#marks.kept, over);
  }

  #countKept(pod: CapturedPod): number {
    return this.#mark(pod, this.#marks.kept, this.#marks.kept, this.#addon.captureContract.paths.any);
  }

  #mark(pod: CapturedPod, from: number, to: number, over: number): number {
    return pod.check('walk its connections', this.#marker.mark(pod.native.netns(), from, to, over));
  }

  /** What an earlier process attached: its namespace has to be found first, if it still exists. */
  #detachPinned(podId: string, failures: unknown[]): void {
    const native = new this.#addon.Capture();
    try {
      if (this.#load(native, this.#pins.directory(podId)) < 0) {
        this.#addon.takeText();
        return;
      }
      const state = native.readState();
      if (typeof state === 'number') return;
      withNamespace(this.#addon, state.netnsCookie, (netns) => {
        const nothing = { probePorts: [], nodeAddresses: [], exclusions: noExclusions };
        const pod = new CapturedPod(this.#addon, native, podId, state.netnsCookie, nothing, {
          hbonePort: this.#options.hbonePort,
          marks: this.#marks,
          guardHook: this.#options.guardHook,
        });
        pod.check('enter its network namespace', native.open(netns));
        pod.clearNamespace(failures);
      });
    } finally {
      native.close();
    }
  }
}

function rejectFaulty(spec: PodPlanInput & { readonly podId: string }): void {
  const fault = planFault(spec);
  if (fault === undefined) return;
  throw new EngineError('ERR_CULVERT_ENGINE_ARGUMENT', `settings of pod ${spec.podId}: ${fault}`);
}
