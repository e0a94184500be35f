// How much a call does, counted instead of timed: how often each block of our own code ran, loops and callbacks included,
// as V8's precise coverage counts it. Equal on every machine, however busy.
import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';

/** Blocks of `src/` that ran during `work`. */
export function countWork(work: () => void): number {
  const session = new Session();
  session.connect();
  try {
    session.post('Profiler.enable');
    session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    work();
    return blocksRun(session);
  } finally {
    session.post('Profiler.stopPreciseCoverage');
    session.disconnect();
  }
}

/** The session answers in the same turn, since it is of this thread. */
function blocksRun(session: Session): number {
  let scripts: readonly Profiler.ScriptCoverage[] = [];
  session.post('Profiler.takePreciseCoverage', (error, taken) => {
    if (error !== null) throw error;
    scripts = taken.result;
  });
  return scripts
    .filter(({ url }) => url.includes('/src/'))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .reduce((sum, { count }) => sum + count, 0);
}
