// The way to the holder, for a process that it has started.
import { HolderConnection } from '../engine/holder.ts';
import { systemClock } from '../runtime/clock.ts';
import { Handover } from '../ztunnel/handover.ts';
import type { Terminal } from './terminal.ts';

/** Names the descriptor that leads to the holder. Set by it, and by nobody else. */
export const holderVariable = 'CULVERT_HOLDER';

/** What the holder kept from earlier processes; undefined if no holder started this one. Throws ERR_CULVERT_HOLDER. */
export async function takeFromHolder(environment: Terminal['environment']): Promise<Handover | undefined> {
  const text = environment[holderVariable];
  if (text === undefined) return undefined;
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  return Handover.take((handlers) => new HolderConnection(fd, handlers), systemClock);
}
