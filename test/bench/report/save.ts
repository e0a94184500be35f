// Puts answers into a directory: samples.json keeps those of earlier runs that were not asked anew, the rest is made of it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Question } from '../question.ts';
import type { Answers } from './answers.ts';
import { readAnswers, writeAnswers } from './answers.ts';
import { renderChart } from './chart.ts';
import { renderReport } from './markdown.ts';

export async function saveReport(
  directory: string,
  questions: readonly Question[],
  answers: Answers,
): Promise<void> {
  const file = join(directory, 'samples.json');
  const all = { ...(await readAnswers(file)), ...answers };
  // In the order of the questions, and without those that nobody asks any more.
  const kept = Object.fromEntries(
    questions.flatMap(({ name }) => (all[name] === undefined ? [] : [[name, all[name]] as const])),
  );
  await writeAnswers(file, kept);
  await writeFile(join(directory, 'report.md'), renderReport(questions, kept));
  await writeFile(join(directory, 'report.svg'), renderChart(questions, kept));
}
