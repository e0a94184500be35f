// The answers as text of at most 80 columns. Pure.
import type { Question } from '../question.ts';
import type { Outcome } from '../runner.ts';
import type { Verdict } from '../statistics.ts';
import { judge, short, summarize } from '../statistics.ts';

const nameWidth = 32;

/** A table of medians by contestant, then one of what was to be reached. */
export function renderAnswer(question: Question, outcome: Outcome): readonly string[] {
  if (outcome.skipped !== undefined) return [question.title, `  not measured: ${outcome.skipped}`];
  const { contestants, measures, targets } = question;
  const width = Math.max(...contestants.map((name) => name.length)) + 1;
  const values = measures.map(({ key, name, unit }) => {
    const medians = contestants.map((who) => summarize(outcome.samples[who]?.[key] ?? []));
    const cells = medians.map((summary) => (summary === undefined ? '-' : short(summary.median)));
    return `  ${name.padEnd(nameWidth)}${cells.map((cell) => cell.padStart(width)).join('')} ${unit}`;
  });
  return [
    `${question.title}`,
    `  ${outcome.rounds === 1 ? 'one round' : `medians of ${outcome.rounds} rounds`.padEnd(nameWidth)}${contestants.map((who) => who.padStart(width)).join('')}`,
    ...values,
    ...targets.map((target) => verdictLine(judge(outcome.samples, measures, target))),
  ];
}

function verdictLine({ target, summary, met }: Verdict): string {
  const value = summary === undefined ? '-' : short(summary.median);
  const spread = summary === undefined ? '' : `(${short(summary.low)}-${short(summary.high)})`;
  return `  ${target.name.padEnd(nameWidth + 5)}${value.padStart(7)} ${spread.padEnd(15)}${wanted(target).padEnd(9)}${met ? 'met' : 'NOT MET'}`;
}

/** `<= 0.45`, `>= 2`. */
export function wanted({ most, least }: { readonly most?: number; readonly least?: number }): string {
  if (most !== undefined) return `<= ${most}`;
  return least === undefined ? '' : `>= ${least}`;
}
