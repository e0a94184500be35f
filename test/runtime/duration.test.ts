import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/runtime/duration.ts';

describe('a duration', () => {
  for (const [text, ms] of [
    ['0', 0],
    ['500ms', 500],
    ['2.5s', 2500],
    ['1h30m', 5_400_000],
    ['1d', 86_400_000],
  ] as const)
    it(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));

  for (const text of ['', '5', 's', '-1s', '1s ', '1 s', '1y', 'NaNs', '1e3s', '9999999999999999d'])
    it(`"${text}" is none`, () => assert.equal(parseDuration(text), undefined));

  it('is read back as what was written', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), (ms) => {
        assert.equal(parseDuration(formatDuration(ms)), ms);
      }),
    );
  });
});
