// Where pods come from: whoever starts them says so, over a unix socket or by a file.

/** A pod of this node, as whoever started it knows it. */
export interface PodAnnouncement {
  /** Unique in time, too: a pod's UID. The id of the pod in engine and capture. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Path of its network namespace: `/run/netns/...`, `/proc/<pid>/ns/net`. */
  readonly netns: string;
}

/** waiting: for settings or a certificate. failed: will be tried again. left_alone: not enrolled.
 *  draining: its last connections have their time. */
export type PodPhase = 'waiting' | 'running' | 'left_alone' | 'failed' | 'draining';

export interface PodState {
  readonly phase: PodPhase;
  /** What it waits for or what failed; empty if there is nothing to say. */
  readonly detail: string;
}

/** One source's view, from when it began to speak: what `snapshot` leaves out is what it has not named since. */
export interface PodSession {
  /** Throws ZtunnelError if the namespace cannot be opened or the node is full. */
  add(pod: PodAnnouncement): PodState;
  /** The pod still exists, though its namespace cannot be named: what is captured stays so. */
  keep(uid: string): void;
  remove(uid: string): void;
  /** Everything that exists has been named: what was not is gone. */
  snapshot(): void;
  /** The state of a pod once it is settled (running, left alone, failed), or as it is after `waitMs`. */
  settled(uid: string, waitMs: number): Promise<PodState | undefined>;
}

export interface PodSource {
  /** Starts to speak. Throws ZtunnelError ERR_CULVERT_POD_SOURCE if it cannot. */
  start(open: () => PodSession): Promise<void>;
  close(): Promise<void>;
}
