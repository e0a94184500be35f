import assert from 'node:assert/strict';
import type { Question } from '../question.ts';
import type { Answers } from './answers.ts';
import { answersText } from './answers.ts';
import { renderChart } from './chart.ts';
import { renderReport } from './markdown.ts';
import { renderAnswer } from './terminal.ts';

const question: Question = {
  name: 'roundtrip',
  title: 'How long do 64 bytes take?',
  how: 'One at a time.',
  contestants: ['direct', 'culvert', 'envoy'],
  measures: [
    { key: 'p50', name: '64 B round trip, p50', unit: 'us', better: 'less', charted: true },
    { key: 'cpu', name: 'CPU of both proxies', unit: 's/GB', better: 'less' },
  ],
  targets: [
    { name: "p50, of Envoy's", measure: 'p50', of: 'culvert', against: ['envoy'], most: 0.5 },
    { name: "CPU, of Envoy's", measure: 'cpu', of: 'culvert', against: ['envoy'], most: 0.7 },
  ],
  rounds: 3,
  start: () => Promise.resolve({ skipped: 'only its answers are of interest here' }),
};

const outcome = {
  samples: {
    direct: { p50: [20, 21, 22], cpu: [undefined, undefined, undefined] },
    culvert: { p50: [40, 50, 42], cpu: [1.5, 1.6, 1.4] },
    envoy: { p50: [100, 90, 100], cpu: [2, 2, 2] },
  },
  rounds: 3,
};

const from = { date: '2026-01-31', commit: 'abc1234', machine: '2 cores', versions: { Envoy: '1.40.0' } };
const answers: Answers = { roundtrip: { ...from, ...outcome } };

describe('the answer of a bench', () => {
  it('is a table with medians and verdicts, of 80 columns at most', () => {
    const lines = renderAnswer(question, outcome);
    assert.deepEqual(
      lines.map((line) => line.trimEnd().replace(/ +/g, ' ')),
      [
        'How long do 64 bytes take?',
        ' medians of 3 rounds direct culvert envoy',
        ' 64 B round trip, p50 21.0 42.0 100 us',
        ' CPU of both proxies - 1.50 2.00 s/GB',
        " p50, of Envoy's 0.420 (0.400-0.556) <= 0.5 met",
        " CPU, of Envoy's 0.750 (0.700-0.800) <= 0.7 NOT MET",
      ],
    );
    assert.ok(Math.max(...lines.map((line) => line.length)) <= 80);
  });

  it('says why nothing was measured', () => {
    const lines = renderAnswer(question, { samples: {}, rounds: 0, skipped: 'there is no controller' });
    assert.deepEqual(lines, ['How long do 64 bytes take?', '  not measured: there is no controller']);
  });

  it('is on the page with its spread, its machine and how many targets are met', () => {
    const page = renderReport([question], answers);
    assert.match(page, /\*\*1 of 2 targets are met\.\*\*/);
    assert.match(page, /\| p50, of Envoy's \| <= 0\.5 \| 0\.420 \(0\.400 to 0\.556\) \| yes \|/);
    assert.match(page, /\| CPU of both proxies, s\/GB \| - \| 1\.50 \(1\.40 to 1\.60\) \|/);
    assert.match(page, /2 cores; Envoy 1\.40\.0; Culvert abc1234, 2026-01-31\./);
  });

  it('is a picture with a bar for everybody of whom there is a value', () => {
    const picture = renderChart([question], answers);
    const bars = [...picture.matchAll(/<rect class="([^"]+)" .*? width="([\d.]+)"/g)];
    assert.deepEqual(
      bars.map(([, kind]) => kind),
      ['bar', 'bar ours', 'bar'],
    );
    const [, culvert, envoy] = bars.map(([, , width]) => Number(width));
    assert.ok(Math.abs((culvert ?? 0) / (envoy ?? 1) - 0.42) < 0.01);
    assert.doesNotMatch(picture, /NaN|CPU/);
  });

  it('keeps its samples, a missing one as null, a line for each list', () => {
    const text = answersText(answers);
    assert.match(text, /"cpu": \[null, null, null\]/);
    assert.match(text, /"p50": \[40, 50, 42\]/);
    assert.deepEqual((JSON.parse(text) as Answers)['roundtrip']?.samples['envoy'], outcome.samples.envoy);
    assert.match(renderReport([question], JSON.parse(text) as Answers), /\*\*1 of 2 targets are met/);
  });
});
