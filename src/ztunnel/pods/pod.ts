// One pod of this node as its manager knows it.
import type { CaptureFault } from '../../engine/capture-types.ts';
import type { FileDescriptor } from '../../engine/types.ts';
import type { PodSettings } from '../../mesh/pod-settings.ts';
import { Backoff } from '../../runtime/backoff.ts';
import type { Timer } from '../../runtime/clock.ts';
import type { Counts } from './capture-counts.ts';
import type { PodAnnouncement, PodPhase, PodState } from './pod-source.ts';
import type { AttachedPod } from './reconcile.ts';

/** A pod as status and configuration dump show it. */
export interface PodView {
  readonly announcement: PodAnnouncement;
  readonly phase: PodPhase;
  readonly detail: string;
  readonly settings: PodSettings | undefined;
  readonly identity: string | undefined;
  readonly faults: readonly CaptureFault[];
  readonly adopted: boolean;
  readonly netnsCookie: bigint | undefined;
  /** Connections older than capture that are still open. */
  readonly keptConnections: number;
  /** What has been counted since it was first captured, by outcome. */
  readonly counters: Counts;
}

export interface Pod {
  readonly uid: string;
  readonly announcement: PodAnnouncement;
  /** Ours to close. */
  netns: FileDescriptor;
  moved: boolean;
  removed: boolean;
  attached: AttachedPod | undefined;
  draining: boolean;
  /** An earlier process left pins of it that this one has not taken over. */
  pinned: boolean;
  phase: PodPhase;
  detail: string;
  identity: string | undefined;
  faults: readonly CaptureFault[];
  adopted: boolean;
  netnsCookie: bigint | undefined;
  /** Ordinal of the last time that somebody named it. */
  named: number;
  readonly backoff: Backoff;
  /** Retry, or the end of a drain. */
  timer: Timer | undefined;
  waiters: ((state: PodState | undefined) => void)[];
}

const retry = { minMs: 200, maxMs: 30_000 };

export function newPod(
  announcement: PodAnnouncement,
  netns: FileDescriptor,
  options: { readonly pinned: boolean; readonly random?: (() => number) | undefined },
): Pod {
  const { pinned, random } = options;
  return {
    uid: announcement.uid,
    announcement,
    netns,
    moved: false,
    removed: false,
    attached: undefined,
    draining: false,
    pinned,
    phase: 'waiting',
    detail: '',
    identity: undefined,
    faults: [],
    adopted: false,
    netnsCookie: undefined,
    named: 0,
    backoff: new Backoff({ ...retry, ...(random !== undefined && { random }) }),
    timer: undefined,
    waiters: [],
  };
}

export function viewOf(pod: Pod, seen: Pick<PodView, 'settings' | 'keptConnections' | 'counters'>): PodView {
  const { announcement, phase, detail, identity, faults, adopted, netnsCookie } = pod;
  return { announcement, phase, detail, identity, faults, adopted, netnsCookie, ...seen };
}

/** `namespace/name: detail` of pods that nothing can be said of yet. */
export function unsettledOf(pods: readonly Pod[]): readonly string[] {
  return pods
    .filter((pod) => !isSettled(pod) && pod.phase !== 'draining')
    .map(({ announcement: { namespace, name }, detail }) => `${namespace}/${name}: ${detail}`);
}

export function stateOf({ phase, detail }: PodState): PodState {
  return { phase, detail };
}

/** A phase that who announced the pod may go on with. */
export function isSettled({ phase }: Pick<Pod, 'phase'>): boolean {
  return phase === 'running' || phase === 'left_alone';
}
