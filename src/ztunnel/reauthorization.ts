// Asks policies again about connections that are open, in slices: a node may have hundreds of thousands, and new ones wait
// for the same thread. The first slice runs at once, so that a change of a small pod is in force when the call returns.
//
// In force when: a connection that is open when policies change is judged by the new ones after at most as many slices as
// come before it, and between two slices every event that waits is handled. It never goes unjudged: policies that
// change again replace those that were still to be asked, for the whole pod; a pod whose workload leaves the mesh
// meanwhile is judged to the end. Connections that come meanwhile are decided by the new snapshot.
import { performance } from 'node:perf_hooks';
import type { ConnectionId } from '../engine/types.ts';
import type { Policy } from '../mesh/policy.ts';

export interface ReauthorizationOptions {
  /** Whether a connection of the pod is denied now, and was not before. */
  readonly isDenied: (id: ConnectionId, podId: string, policies: readonly Policy[]) => boolean;
  readonly close: (ids: readonly ConnectionId[]) => void;
  /** All that was to be asked has been asked; with how many were closed. */
  readonly done: (closed: number) => void;
  /** Milliseconds, from any origin. */
  readonly now?: () => number;
  /** Calls back when waiting events have been handled. */
  readonly defer?: (work: () => void) => void;
}

/** Longest that new connections wait for a slice. */
const sliceMs = 5;
/** Connections judged between two looks at the clock. */
const looksEvery = 64;

interface Pending {
  /** A set's iterator passes over what is deleted, and comes to what is added. */
  readonly ids: Iterator<ConnectionId>;
  readonly policies: readonly Policy[];
}

export class Reauthorization {
  readonly #options: ReauthorizationOptions;
  readonly #now: () => number;
  readonly #defer: (work: () => void) => void;
  readonly #pending = new Map<string, Pending>();
  #deferred = false;
  #closed = 0;

  constructor(options: ReauthorizationOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#defer = options.defer ?? ((work) => void setImmediate(work));
  }

  /** Pods of which connections are still to be asked about. */
  get pending(): number {
    return this.#pending.size;
  }

  /** To ask these policies about the pod's connections, and no longer those before. */
  add(podId: string, ids: ReadonlySet<ConnectionId>, policies: readonly Policy[]): void {
    this.#pending.set(podId, { ids: ids.values(), policies });
  }

  /** Judges for the length of a slice, and goes on later if that was not enough. */
  run(): void {
    if (this.#pending.size === 0) return;
    const denied = this.#judge(this.#now() + sliceMs);
    if (denied.length > 0) this.#options.close(denied);
    this.#closed += denied.length;
    if (this.#pending.size === 0) {
      const closed = this.#closed;
      this.#closed = 0;
      this.#options.done(closed);
    } else if (!this.#deferred) {
      this.#deferred = true;
      this.#defer(() => {
        this.#deferred = false;
        this.run();
      });
    }
  }

  /** Judges no more. */
  close(): void {
    this.#pending.clear();
  }

  #judge(untilMs: number): ConnectionId[] {
    const denied: ConnectionId[] = [];
    let judged = 0;
    for (const [podId, { ids, policies }] of this.#pending) {
      for (let next = ids.next(); next.done !== true; next = ids.next()) {
        if (this.#options.isDenied(next.value, podId, policies)) denied.push(next.value);
        judged += 1;
        if (judged % looksEvery === 0 && this.#now() >= untilMs) return denied;
      }
      this.#pending.delete(podId);
    }
    return denied;
  }
}
