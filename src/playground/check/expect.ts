// How the checks say what they saw instead.
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecResult } from '../exec.ts';

/** Throws with `message` unless it holds. */
export function expect(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Tries until `attempt` returns a value; throws what the last attempt found missing. */
export async function until<T>(
  timeoutMs: number,
  attempt: () => Promise<{ readonly value: T } | { readonly missing: string }>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const result = await attempt();
    if ('value' in result) return result.value;
    expect(performance.now() < deadline, `${result.missing} (after ${timeoutMs / 1000} s)`);
    await delay(50);
  }
}

/** A command's outcome in a few words. */
export function describe(result: ExecResult): string {
  const said = (result.stderr.trim() || result.stdout.trim()).split('\n').at(-1) ?? '';
  return `${result.code === null ? 'timed out' : `exit code ${result.code}`}${said === '' ? '' : `: ${said}`}`;
}

export function ms(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}
