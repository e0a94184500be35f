// What runs have answered, as bench/samples.json keeps it: raw samples, and where they are from.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Outcome } from '../runner.ts';

export interface Provenance {
  /** ISO day. */
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  /** Programs and their versions. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Answer extends Outcome, Provenance {}

/** By name of the question. */
export type Answers = Readonly<Record<string, Answer>>;

/** The file's answers; none if it is not there. */
export async function readAnswers(file: string): Promise<Answers> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  return JSON.parse(text) as Answers;
}

/** Replaces the file. */
export async function writeAnswers(file: string, answers: Answers): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, answersText(answers));
}

/** A line for each contestant and measure, so that a new run shows as a readable difference. */
export function answersText(answers: Answers): string {
  const text = JSON.stringify(answers, (_, value: unknown) => (value === undefined ? null : value), 1);
  return `${text.replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)}\n`;
}
