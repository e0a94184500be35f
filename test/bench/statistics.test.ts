import assert from 'node:assert/strict';
import type { Measure, Target } from './statistics.ts';
import { judge, short, summarize, targetValues } from './statistics.ts';

const measures: readonly Measure[] = [
  { key: 'p50', name: 'p50', unit: 'us', better: 'less' },
  { key: 'rate', name: 'rate', unit: '1/s', better: 'more' },
];

const samples = {
  direct: { p50: [70, 70, 80], rate: [9000, 9000, 9000] },
  culvert: { p50: [130, 120, 140], rate: [3000, 3100, 2900] },
  envoy: { p50: [220, 170, 230], rate: [1000, 1550, 1450] },
  haproxy: { p50: [170, 270, 210], rate: [500, 500, 500] },
};

const added: Target = {
  name: 'added',
  measure: 'p50',
  of: 'culvert',
  against: ['envoy'],
  above: 'direct',
  most: 0.45,
};

describe('the mathematics of the bench', () => {
  it('takes the middle of an odd number of values, and between the two of an even one', () => {
    assert.deepEqual(summarize([3, 1, 2]), { median: 2, low: 1, high: 3, count: 3 });
    assert.deepEqual(summarize([4, 1, 2, 3]), { median: 2.5, low: 1, high: 4, count: 4 });
  });

  it('leaves out rounds without a value, and says nothing of none', () => {
    assert.deepEqual(summarize([undefined, 5, Number.NaN]), { median: 5, low: 5, high: 5, count: 1 });
    assert.equal(summarize([undefined]), undefined);
  });

  it('compares within a round, after what a direct connection takes', () => {
    assert.deepEqual(targetValues(samples, measures, added), [60 / 150, 50 / 100, 60 / 150]);
  });

  it('compares with the best of several: the least, or the most, as it is better', () => {
    const rivals = ['envoy', 'haproxy'];
    const less = targetValues(samples, measures, { ...added, against: rivals });
    const more = targetValues(samples, measures, {
      name: '',
      measure: 'rate',
      of: 'culvert',
      against: rivals,
    });
    assert.deepEqual(less, [60 / 100, 50 / 100, 60 / 130]);
    assert.deepEqual(more, [3, 2, 2]);
  });

  it('has no ratio to somebody who added nothing', () => {
    const quick = { ...samples, envoy: { p50: [70, 60, 230] } };
    assert.deepEqual(targetValues(quick, measures, added), [undefined, undefined, 60 / 150]);
  });

  it('judges the median as it is printed', () => {
    assert.equal(judge(samples, measures, added).met, true);
    assert.equal(judge(samples, measures, { ...added, most: 0.39 }).met, false);
    assert.equal(judge(samples, measures, { ...added, most: 0.4 - 1e-6 }).met, false);
    const near = { culvert: { p50: [0.45004] } };
    assert.equal(judge(near, measures, { name: '', measure: 'p50', of: 'culvert', most: 0.45 }).met, true);
  });

  it('does not meet a target nobody measured', () => {
    const verdict = judge({}, measures, added);
    assert.deepEqual({ met: verdict.met, summary: verdict.summary }, { met: false, summary: undefined });
  });

  it('judges a value by itself where nobody is compared', () => {
    const target: Target = { name: '', measure: 'rate', of: 'culvert', least: 3000 };
    assert.equal(judge(samples, measures, target).met, true);
    assert.equal(judge(samples, measures, { ...target, least: 3001 }).met, false);
  });

  it('allows as much as two of the same differ', () => {
    const noisy = {
      alone: { p50: [100, 100, 100] },
      again: { p50: [90, 120, 100] },
      crowd: { p50: [110, 119, 130] },
    };
    const target: Target = { name: '', measure: 'p50', of: 'crowd', against: ['alone'], noise: 'again' };
    const verdict = judge(noisy, measures, target);
    assert.deepEqual([verdict.target.most, verdict.summary?.median, verdict.met], [1.2, 1.19, true]);
    assert.equal(judge({ ...noisy, again: { p50: [90, 101, 100] } }, measures, target).met, false);
  });

  it('prints three digits that count', () => {
    assert.deepEqual([0.4504, 12.34, 123.4, 12345.6, 123456, 0.0042].map(short), [
      '0.450',
      '12.3',
      '123',
      '12346',
      '123k',
      '0.004',
    ]);
  });
});
