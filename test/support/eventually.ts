import { setImmediate } from 'node:timers/promises';

/** Under sanitizers programs start and run several times slower. */
const defaultDeadlineMs = process.env['CULVERT_SANITIZED'] === '1' ? 30_000 : 5000;

/** Polls until `condition` holds; fails with `what` after `deadlineMs`. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = defaultDeadlineMs,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await setImmediate();
  }
}
