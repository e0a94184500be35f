// Asks one question: everybody once a round, the first of a round being another one each time.
import type { Context, Question, Trial } from './question.ts';
import { isSkipped } from './question.ts';
import type { Samples } from './statistics.ts';

export interface Outcome {
  readonly samples: Samples;
  /** Rounds that were finished: fewer than asked for if time ran out. */
  readonly rounds: number;
  /** Why nothing was measured. */
  readonly skipped?: string;
}

/** After this time no further round begins: a question is answered in about three minutes. */
const roundsMs = 150_000;

/** Runs `rounds` rounds. Whatever happens, what the question started is ended. */
export async function ask(question: Question, rounds: number, context: Context): Promise<Outcome> {
  const trial = await question.start(context);
  if (isSkipped(trial)) return { samples: {}, rounds: 0, skipped: trial.skipped };
  try {
    return await takeRounds(question, rounds, trial, context);
  } finally {
    await trial.close();
  }
}

async function takeRounds(
  question: Question,
  rounds: number,
  trial: Trial,
  context: Context,
): Promise<Outcome> {
  const { contestants, measures } = question;
  const samples = Object.fromEntries(
    contestants.map((name) => [
      name,
      Object.fromEntries(measures.map(({ key }) => [key, [] as (number | undefined)[]])),
    ]),
  );
  const deadline = Date.now() + roundsMs;
  let round = 0;
  for (; round < rounds && Date.now() < deadline; round += 1) {
    context.progress(`round ${round + 1} of ${rounds}`);
    for (const contestant of turned(contestants, round)) {
      const values = await trial.measure(contestant);
      for (const { key } of measures) samples[contestant]?.[key]?.push(values[key]);
    }
  }
  return { samples, rounds: round };
}

/** The same in the same order, but beginning elsewhere. */
export function turned<T>(list: readonly T[], by: number): readonly T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
