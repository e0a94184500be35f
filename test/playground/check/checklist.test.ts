import assert from 'node:assert/strict';
import type { CheckResult } from '../../../src/playground/check/checklist.ts';
import { renderResult, renderSummary, runChecks } from '../../../src/playground/check/checklist.ts';

const quiet = { timeoutMs: 1000, report: () => undefined };

describe('the checklist', () => {
  it('goes on after a check that fails, and says what was seen', async () => {
    const results = await runChecks(
      [
        { title: 'first', run: () => Promise.reject(new Error('saw 3')) },
        { title: 'second', run: () => Promise.resolve('5 of 5') },
      ],
      quiet,
    );

    assert.deepEqual(
      results.map(({ ok, detail }) => [ok, detail]),
      [
        [false, 'saw 3'],
        [true, '5 of 5'],
      ],
    );
  });

  it('fails a check that does not end', async () => {
    const stuck = { title: 'stuck', run: () => new Promise<string>(() => undefined) };

    const [result] = await runChecks([stuck], { ...quiet, timeoutMs: 5 });

    assert.equal(result?.ok, false);
    assert.match(result?.detail ?? '', /no answer within/);
  });

  it('reports each result as soon as it is there', async () => {
    const seen: string[] = [];
    const check = (title: string) => ({
      title,
      run: () => Promise.resolve(`after ${seen.length}`),
    });

    const results = await runChecks([check('a'), check('b')], {
      ...quiet,
      report: ({ title }) => seen.push(title),
    });

    assert.deepEqual(
      results.map(({ detail }) => detail),
      ['after 0', 'after 1'],
    );
  });

  it('prints lines of at most 80 columns', () => {
    const result: CheckResult = {
      title: 't'.repeat(40),
      ok: false,
      detail: 'word '.repeat(60),
      durationMs: 1,
    };

    for (const line of renderResult(result, false).split('\n')) assert.ok(line.length <= 80, line);
  });

  it('names what failed in the summary', () => {
    const summary = renderSummary([
      { title: 'good', ok: true, detail: '', durationMs: 500 },
      { title: 'bad', ok: false, detail: '', durationMs: 500 },
    ]);

    assert.equal(summary, '1 of 2 hold (1 s)\nfailed: bad');
  });
});
