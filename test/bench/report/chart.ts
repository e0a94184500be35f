// bench/report.svg: a panel for each charted measure, a bar for each contestant. Pure.
//
// The picture has no background and colours of its own for a dark page, so that it reads on either.
import type { Question } from '../question.ts';
import type { Measure } from '../statistics.ts';
import { short, summarize } from '../statistics.ts';
import type { Answers } from './answers.ts';

const columns = 2;
const panelWidth = 380;
const gap = 40;
const headHeight = 24;
const barHeight = 14;
const barStep = 20;
const labelWidth = 92;
const valueWidth = 96;

const style = `
text { font: 12px system-ui, sans-serif; fill: #57606a; }
.title { font-weight: 600; fill: #1f2328; }
.bar { fill: #afb8c1; }
.ours { fill: #0969da; }
.spread { stroke: #57606a; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; }
  .title { fill: #f0f6fc; }
  .bar { fill: #59636e; }
  .ours { fill: #4493f8; }
  .spread { stroke: #9198a1; }
}`;

interface Bar {
  readonly name: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly ours: boolean;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** The picture, of those questions that have an answer. */
export function renderChart(questions: readonly Question[], answers: Answers): string {
  const panels = questions.flatMap((question) =>
    question.measures
      .filter(({ charted }) => charted === true)
      .map((measure) => panelOf(question, measure, answers))
      .filter(({ bars }) => bars.length > 0),
  );
  let top = 8;
  const parts: string[] = [];
  for (let index = 0; index < panels.length; index += columns) {
    const row = panels.slice(index, index + columns);
    parts.push(...row.map((panel, column) => renderPanel(panel, column * (panelWidth + gap), top)));
    top += headHeight + Math.max(...row.map(({ bars }) => bars.length)) * barStep + gap / 2;
  }
  const width = columns * panelWidth + (columns - 1) * gap;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" role="img">`,
    '<title>Medians of what was measured, with the least and the most of the rounds</title>',
    `<style>${style}\n</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function panelOf(question: Question, measure: Measure, answers: Answers): Panel {
  const samples = answers[question.name]?.samples ?? {};
  const ours = new Set(question.targets.map(({ of }) => of));
  return {
    title: `${measure.title ?? measure.name} (${measure.better} is better)`,
    unit: measure.unit,
    bars: question.contestants.flatMap((name): readonly Bar[] => {
      const summary = summarize(samples[name]?.[measure.key] ?? []);
      return summary === undefined ? [] : [{ name, ...summary, ours: ours.has(name) }];
    }),
  };
}

function renderPanel({ title, unit, bars }: Panel, left: number, top: number): string {
  const most = Math.max(...bars.map(({ high }) => high));
  const scale = (panelWidth - labelWidth - valueWidth) / most;
  const from = left + labelWidth;
  return [
    `<text class="title" x="${left}" y="${top + 14}">${escape(title)}</text>`,
    ...bars.map(({ name, median, low, high, ours }, index) => {
      const y = top + headHeight + index * barStep;
      const middle = y + barHeight / 2;
      const end = (value: number): string => (from + value * scale).toFixed(1);
      return [
        `<text x="${from - 8}" y="${y + 11}" text-anchor="end">${escape(name)}</text>`,
        `<rect class="bar${ours ? ' ours' : ''}" x="${from}" y="${y}" width="${(median * scale).toFixed(1)}" height="${barHeight}" rx="2"/>`,
        `<path class="spread" d="M${end(low)} ${middle}H${end(high)}"/>`,
        `<text x="${(from + high * scale + 8).toFixed(1)}" y="${y + 11}">${escape(`${short(median)} ${unit}`)}</text>`,
      ].join('\n');
    }),
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
