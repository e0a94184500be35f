// The contract for capture: what is put into a pod's network namespace so that its TCP passes through the engine.
import type { IpAddress } from '../mesh/address.ts';
import type { Exclusions } from '../mesh/pod-settings.ts';
import type { FileDescriptor, Listeners } from './types.ts';

export interface CaptureSpec {
  readonly podId: string;
  readonly netns: FileDescriptor;
  /** Sockets that the engine listens on in that namespace. */
  readonly listeners: Listeners;
  readonly probePorts: readonly number[];
  readonly nodeAddresses: readonly IpAddress[];
  readonly exclusions: Exclusions;
}

export interface CaptureResult {
  /** True if links and maps of an earlier process were taken over. */
  readonly adopted: boolean;
  /** Connections older than capture, which live on uncaptured. */
  readonly keptConnections: number;
  /** SO_NETNS_COOKIE: names the namespace for good, unlike its inode number. */
  readonly netnsCookie: bigint;
}

/** Packets and connections by what became of them, since the maps were made. */
export type CaptureCounters = Readonly<Record<string, bigint>>;

/** Something that should be there and is not, or is and should not. */
export interface CaptureFault {
  readonly what: string;
  readonly detail: string;
}

export interface PreflightFinding {
  readonly check: string;
  readonly ok: boolean;
  /** It works, and has a consequence that an operator should know of. */
  readonly caution?: true;
  /** What was found and, if not ok, what to do. One line. */
  readonly detail: string;
}

export interface Capture {
  /** All or nothing: a step that fails undoes those before it. Idempotent; adopts what an earlier process left. */
  attach(spec: CaptureSpec): CaptureResult;
  /** Changes probes and exclusions of an attached pod in place. */
  update(spec: Omit<CaptureSpec, 'netns' | 'listeners'>): void;
  /** New connections go direct at once; captured ones keep their routes until `detach`. */
  release(podId: string): void;
  /** Removes everything from the namespace and its pins. Idempotent, also for a namespace that is gone. */
  detach(podId: string): void;
  /** Compares what should be in the namespace with what is; also re-reads its addresses. */
  audit(podId: string): readonly CaptureFault[];
  counters(podId: string): CaptureCounters;
  /** Connections older than capture that are still open. */
  keptConnections(podId: string): number;
  /** Aborts connections older than capture, at both ends. Returns how many. New ones are captured as ever. */
  closeKept(podId: string): number;
  /** Ids of pods with pins from this or an earlier process. */
  pinned(): readonly string[];
  /** Stops following address changes and closes descriptors. What is attached stays attached (pinned). */
  close(): void;
}
