// What a question is: who is compared, what is measured of each, and what was to be reached.
import type { Measure, Target } from './statistics.ts';
import type { Tools } from './world/tools.ts';

export interface Question {
  /** Its word on the command line; the file it stands in is called so. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, in a sentence or two for the report. */
  readonly how: string;
  readonly contestants: readonly string[];
  readonly measures: readonly Measure[];
  readonly targets: readonly Target[];
  /** How often everybody is measured, unless the command line says. */
  readonly rounds: number;
  /** Sets everything up; or says in a sentence why this machine cannot answer. */
  start(context: Context): Promise<Trial | Skipped>;
}

export interface Context {
  readonly tools: Tools;
  /** A factor on the length of each measurement: 1, and less for a smoke run. */
  readonly pace: number;
  /** Told of each step. */
  readonly progress: (step: string) => void;
}

export interface Trial {
  /** One value for each measure of the question that applies to this contestant. */
  measure(contestant: string): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

export interface Skipped {
  readonly skipped: string;
}

export function isSkipped(trial: Trial | Skipped): trial is Skipped {
  return 'skipped' in trial;
}
