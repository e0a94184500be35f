// Hands pods to a node's ztunnel over its unix socket, as a CNI plugin's agent does: one JSON object per line, one
// answer per request (src/ztunnel/pods/protocol.ts).
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { PodAnswer } from '../ztunnel/pods/protocol.ts';
import { PlaygroundError } from './errors.ts';

export interface PodHandover {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Path of its network namespace. */
  readonly netns: string;
}

/** How long a pod may take until it is captured. */
const waitMs = 15_000;

/** Names every pod of the node and says that these are all; resolves when each is captured.
 *  Throws ERR_CULVERT_PLAYGROUND_PROCESS with the ztunnel's reason. */
export async function handOverPods(socketPath: string, pods: readonly PodHandover[]): Promise<void> {
  await converse(socketPath, [...pods.map((pod) => ({ op: 'add', ...pod, waitMs })), { op: 'snapshot' }]);
}

/** Adds one pod; resolves when it is captured. */
export async function handOverPod(socketPath: string, pod: PodHandover): Promise<void> {
  await converse(socketPath, [{ op: 'add', ...pod, waitMs }]);
}

/** The pod is gone: its connections drain, its namespace is released. */
export async function withdrawPod(socketPath: string, uid: string): Promise<void> {
  await converse(socketPath, [{ op: 'delete', uid }]);
}

async function converse(socketPath: string, requests: readonly object[]): Promise<void> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    for (const request of requests) {
      socket.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw failure(`${socketPath} was closed before it answered`);
      const answer = JSON.parse(value) as PodAnswer;
      if (!answer.ok) throw failure(`${answer.code}: ${answer.message}`);
    }
  } finally {
    socket.destroy();
  }
}

function failure(message: string): PlaygroundError {
  return new PlaygroundError('ERR_CULVERT_PLAYGROUND_PROCESS', message);
}
