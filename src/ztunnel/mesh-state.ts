// What the controller has said so far: the current snapshot and the settings of this node's pods. Each update replaces
// the snapshot as a whole; who decides takes it once and sees one mesh.
import type { PodSettings } from '../mesh/pod-settings.ts';
import type { MeshUpdate } from '../mesh/snapshot.ts';
import { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AddressUpdate, PodUpdate, PolicyUpdate } from '../xds/types.ts';

export type MeshChange = 'mesh' | 'pods';

/** What an xDS client calls. */
export interface ControlHandlers {
  onAddress(update: AddressUpdate): void;
  onPolicy(update: PolicyUpdate): void;
  onPods(update: PodUpdate): void;
  /** Everything that exists has been received once. */
  onSynced(): void;
}

export class MeshState implements ControlHandlers {
  readonly #clock: Clock;
  readonly #changed: (change: MeshChange) => void;
  readonly #synced: () => void;
  readonly #settings = new Map<string, PodSettings>();
  /** uid -> `namespace/name` of settings. */
  readonly #names = new Map<string, string>();
  #snapshot = MeshSnapshot.empty();
  #lastUpdateMs: number | undefined;
  #isKnown = false;

  constructor(options: {
    readonly clock: Clock;
    readonly changed: (change: MeshChange) => void;
    readonly synced: () => void;
  }) {
    this.#clock = options.clock;
    this.#changed = options.changed;
    this.#synced = options.synced;
  }

  get snapshot(): MeshSnapshot {
    return this.#snapshot;
  }

  /** Milliseconds since the epoch; undefined before the first. */
  get lastUpdateMs(): number | undefined {
    return this.#lastUpdateMs;
  }

  /** Everything that exists has been received once: with less, a connection could pass that a policy denies. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  settingsOf(namespace: string, name: string): PodSettings | undefined {
    return this.#settings.get(`${namespace}/${name}`);
  }

  onAddress({ workloads, services, removed }: AddressUpdate): void {
    this.#replace({ workloads, services, removedWorkloads: removed, removedServices: removed });
  }

  onPolicy({ policies, removed }: PolicyUpdate): void {
    this.#replace({ policies, removedPolicies: removed });
  }

  onPods({ pods, removed }: PodUpdate): void {
    this.#lastUpdateMs = this.#clock.now();
    for (const uid of removed) this.#forget(uid);
    for (const pod of pods) {
      this.#forget(pod.uid);
      const name = `${pod.namespace}/${pod.name}`;
      this.#names.set(pod.uid, name);
      this.#settings.set(name, pod);
    }
    this.#changed('pods');
  }

  onSynced(): void {
    this.#isKnown = true;
    this.#synced();
  }

  #replace(update: MeshUpdate): void {
    this.#lastUpdateMs = this.#clock.now();
    this.#snapshot = this.#snapshot.with(update);
    this.#changed('mesh');
  }

  #forget(uid: string): void {
    const name = this.#names.get(uid);
    if (name === undefined) return;
    this.#names.delete(uid);
    if (this.#settings.get(name)?.uid === uid) this.#settings.delete(name);
  }
}
