// The engine ends a connection between two pods of this node once; each pod's end is told of it as it would be told by a
// tunnel between them.
import type { ClosedEvent } from '../engine/types.ts';

/**
 * The end of a joined connection as the source's ztunnel (`initiator`) or the destination's (`target`) would report it.
 * `cutByOther`: it was closed because of a policy or a certificate that only the other end looks at.
 */
export function closedAsSeenBy(
  end: 'initiator' | 'target',
  closed: ClosedEvent,
  cutByOther: boolean,
): ClosedEvent {
  if (cutByOther) return { ...closed, reason: 'peer_reset', detail: 0 };
  if (closed.reason === 'app_reset' && closed.endedBy !== end)
    return { ...closed, reason: closed.afterEnd ? 'ok' : 'peer_reset', detail: 0 };
  // One of the two pods is gone, its drain at an end: the other hears of it from its peer.
  if (closed.reason === 'drained' && closed.endedBy !== 'engine' && closed.endedBy !== end)
    return { ...closed, reason: 'peer_reset', detail: 0 };
  // The destination's engine found that it would dial itself, and answers its peer 503.
  if (closed.reason === 'self_call' && end === 'initiator')
    return { ...closed, reason: 'connect_failed', detail: 503 };
  return closed;
}
