import assert from 'node:assert/strict';
import type { Question } from './question.ts';
import { smokeChecks } from './smoke.ts';

const question: Question = {
  name: 'roundtrip',
  title: '',
  how: '',
  contestants: ['direct', 'culvert', 'envoy'],
  measures: [{ key: 'p50', name: 'p50', unit: 'us', better: 'less' }],
  targets: [
    { name: 'added', measure: 'p50', of: 'culvert', against: ['envoy'], above: 'direct', most: 0.5 },
    { name: 'alone', measure: 'p50', of: 'culvert', most: 1 },
  ],
  rounds: 1,
  start: () => Promise.resolve({ skipped: '' }),
};

const faults = (culvert: number | undefined, envoy: number | undefined): readonly (string | undefined)[] =>
  smokeChecks(question, {
    samples: { direct: { p50: [20] }, culvert: { p50: [culvert] }, envoy: { p50: [envoy] } },
    rounds: 1,
  }).map(({ fault }) => fault);

describe('a smoke run', () => {
  it('passes when everybody was measured, whether or not a target is met', () => {
    assert.deepEqual(faults(100, 80), [undefined, undefined, undefined, undefined]);
  });

  it('passes with less CPU than the kernel counts', () => {
    const cpu = { key: 'cpu', name: 'CPU', unit: 's', better: 'less' } as const;
    const each = { p50: [50], cpu: [0] };
    const checks = smokeChecks(
      { ...question, measures: [...question.measures, cpu] },
      { samples: { direct: each, culvert: each, envoy: each }, rounds: 1 },
    );
    assert.deepEqual(checks[1], { name: 'roundtrip: culvert', fault: undefined });
  });

  it('does not mind a rival who added nothing in a short run', () => {
    assert.deepEqual(faults(100, 20), [undefined, undefined, undefined, undefined]);
  });

  it('fails for whom there is no value, and for the ratio to it', () => {
    assert.deepEqual(faults(100, undefined), [undefined, undefined, 'measured ', 'the ratio is -']);
    assert.equal(faults(0, 80)[1], 'measured 0');
  });

  it('fails for a ratio that cannot be', () => {
    assert.equal(faults(8000, 80)[3], 'the ratio is 100');
    assert.equal(faults(1, 80)[3], 'the ratio is 0.0125');
  });

  it('fails for a question that was not asked', () => {
    const [check] = smokeChecks(question, { samples: {}, rounds: 0, skipped: 'no Envoy' });
    assert.equal(check?.fault, 'was not measured: no Envoy');
  });
});
