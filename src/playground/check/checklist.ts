// A list of claims, each shown to hold or not, with the figures that show it.
import { messageOf } from '../../runtime/errors.ts';

export interface Check {
  readonly title: string;
  /** Returns the figures; throws an error that says what was seen instead. */
  run(): Promise<string>;
}

export interface CheckResult {
  readonly title: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly durationMs: number;
}

export interface ChecklistOptions {
  /** A check that takes longer has failed. */
  readonly timeoutMs: number;
  report(result: CheckResult): void;
}

/** Runs the checks one after the other; one that fails does not keep the next from running. */
export async function runChecks(
  checks: readonly Check[],
  options: ChecklistOptions,
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const startedMs = performance.now();
    const outcome = await within(check, options.timeoutMs);
    const result = { title: check.title, ...outcome, durationMs: performance.now() - startedMs };
    results.push(result);
    options.report(result);
  }
  return results;
}

async function within(check: Check, timeoutMs: number): Promise<{ ok: boolean; detail: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return { ok: true, detail: await Promise.race([check.run(), late]) };
  } catch (error) {
    return { ok: false, detail: messageOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** `  ok  both nodes carry their pods                    6 pods, 0 faults`, or FAIL. Long details go on a line below. */
export function renderResult(result: CheckResult, color: boolean): string {
  const mark = result.ok ? 'ok  ' : 'FAIL';
  const painted = color ? `\u001b[${result.ok ? '32' : '31'}m${mark}\u001b[0m` : mark;
  const title = result.title.padEnd(46);
  if (title.length + result.detail.length + 6 <= 80) return `${painted}  ${title}${result.detail}`.trimEnd();
  return [`${painted}  ${result.title}`, ...wrap(result.detail, 72).map((text) => `        ${text}`)].join(
    '\n',
  );
}

/** `21 of 21 hold`, with what failed named again. */
export function renderSummary(results: readonly CheckResult[]): string {
  const failed = results.filter((result) => !result.ok);
  const seconds = results.reduce((sum, result) => sum + result.durationMs, 0) / 1000;
  const head = `${results.length - failed.length} of ${results.length} hold (${seconds.toFixed(0)} s)`;
  return [head, ...failed.map((result) => `failed: ${result.title}`)].join('\n');
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let current = '';
    for (const word of paragraph.split(' ')) {
      if (current !== '' && current.length + 1 + word.length > width) {
        lines.push(current);
        current = word;
      } else current = current === '' ? word : `${current} ${word}`;
    }
    lines.push(current);
  }
  return lines;
}
