// The table on the terminal, for as long as the user looks at it.
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../runtime/errors.ts';
import type { Mesh } from '../mesh.ts';
import { observeMesh } from './observe.ts';
import { FlowHistory } from './flows.ts';
import type { Output } from './screen.ts';
import { Screen } from './screen.ts';
import { renderTable } from './table.ts';

export interface WatchOptions {
  readonly output: Output;
  readonly color: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const intervalMs = 500;

/** Draws until the signal aborts. */
export async function watchMesh(mesh: Mesh, options: WatchOptions): Promise<void> {
  const screen = new Screen(options.output);
  const history = new FlowHistory();
  const hints = hintsFor(mesh);
  try {
    while (!options.signal.aborted) {
      let trouble = '';
      try {
        history.observe(performance.now(), await observeMesh(mesh));
      } catch (error) {
        trouble = messageOf(error); // a node that is being restarted; the next round asks again
      }
      const now = performance.now();
      const rowsMax = Math.max(3, screen.linesMax - hints.length - 3);
      const table = renderTable(history.rows(now), { color: options.color, rowsMax });
      screen.draw(now, [...table, trouble, ...(screen.live ? hints : [])]);
      await delay(intervalMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  } finally {
    screen.close();
  }
}

/** What to try next. */
export function hintsFor(mesh: Mesh): readonly string[] {
  return [
    'Try, in another terminal:',
    `  edit ${mesh.paths.manifests}/policies.yaml`,
    '      and watch a flow turn denied, or allowed, within a second',
    '  bin/culvert.js playground exec frontend -- curl -s cart',
    '  bin/culvert.js why data/reports shop/cart:80',
    'Ctrl-C removes everything.',
  ];
}
