// bench/report.md. Pure.
import type { Question } from '../question.ts';
import type { Measure, Verdict } from '../statistics.ts';
import { judge, short, summarize } from '../statistics.ts';
import type { Answer, Answers } from './answers.ts';
import { wanted } from './terminal.ts';

const preface = `# How fast Culvert is

<!-- Made by \`npm run bench\`. Do not edit. -->

Two nodes and a router as network namespaces of one machine; in the same run, on the same cores, taking turns: a direct
connection, Culvert, Envoy and HAProxy, the last three with mutual TLS 1.3 on the wire. Client, server and both proxies share
the cores. How it is measured in general is in [docs/performance.md](../docs/performance.md), what came out of every round in
[samples.json](samples.json).

A figure is the median of the rounds, in brackets the least and the most of them. A ratio is taken within a round.`;

/** The whole page, of those questions that have an answer. */
export function renderReport(questions: readonly Question[], answers: Answers): string {
  const answered = questions.flatMap((question) => {
    const answer = answers[question.name];
    return answer === undefined ? [] : [{ question, answer }];
  });
  const verdicts = answered.flatMap(({ question, answer }) => judgeAll(question, answer));
  const met = verdicts.filter((verdict) => verdict.met).length;
  return [
    preface,
    '![The medians as bars](report.svg)',
    `**${met} of ${verdicts.length} targets are met.**`,
    table(
      ['target', 'wanted', 'measured', 'met'],
      verdicts.map((verdict) => verdictCells(verdict)),
    ),
    ...provenance(answered.map(({ answer }) => answer)),
    ...answered.flatMap(({ question, answer }) => section(question, answer)),
    '',
  ].join('\n\n');
}

function judgeAll(question: Question, answer: Answer): readonly Verdict[] {
  if (answer.skipped !== undefined) return [];
  return question.targets.map((target) => judge(answer.samples, question.measures, target));
}

function verdictCells({ target, summary, met }: Verdict): readonly string[] {
  return [target.name, wanted(target), spread(summary), met ? 'yes' : '**no**'];
}

function spread(summary: ReturnType<typeof summarize>): string {
  return summary === undefined
    ? '-'
    : `${short(summary.median)} (${short(summary.low)} to ${short(summary.high)})`;
}

function provenance(answers: readonly Answer[]): readonly string[] {
  const lines = answers.map(
    ({ machine, versions, commit, date }) =>
      `${machine}; ${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}; Culvert ${commit}, ${date}.`,
  );
  const [first, ...others] = new Set(lines);
  if (first === undefined) return [];
  return [
    '## Machine',
    others.length === 0 ? first : [first, ...others].map((line) => `- ${line}`).join('\n'),
  ];
}

function section(question: Question, answer: Answer): readonly string[] {
  const head = [`## ${question.title}`, question.how];
  if (answer.skipped !== undefined) return [...head, `Not measured: ${answer.skipped}.`];
  const row = ({ key, name, unit }: Measure): readonly string[] => [
    unit === '' ? name : `${name}, ${unit}`,
    ...question.contestants.map((who) => spread(summarize(answer.samples[who]?.[key] ?? []))),
  ];
  return [
    ...head,
    table(
      [answer.rounds === 1 ? 'one round' : `${answer.rounds} rounds`, ...question.contestants],
      question.measures.map(row),
    ),
    table(
      ['target', 'wanted', 'measured', 'met'],
      judgeAll(question, answer).map((verdict) => verdictCells(verdict)),
    ),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
