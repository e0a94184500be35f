// What only the start needed is given back once: sources, compiled code that ran once, the parsers' leftovers. V8 would
// keep them for as long as nothing makes it look, and a node proxy is idle most of its life.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';
import type { Readiness } from './readiness.ts';

/** First configuration, certificates and pods come right after; what they bring along is given back as well. */
const settleMs = 2000;

/** Collects garbage as thoroughly as V8 can (20 to 40 ms), a while after the process is first ready. Returns the function
 *  that calls it off. */
export function giveBackOnceReady(readiness: Pick<Readiness, 'whenReady'>, clock: Clock): () => void {
  const off = new AbortController();
  readiness.whenReady(off.signal).then(
    () => {
      const timer = clock.after(settleMs, collectGarbage);
      off.signal.addEventListener('abort', () => timer.cancel());
    },
    () => undefined, // called off before it was ready
  );
  return () => off.abort();
}

/** Node shows V8's collector only to those who ask for it, and then only in a context made later. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'major'; flavor: 'last-resort' }) => void;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', flavor: 'last-resort' });
}
