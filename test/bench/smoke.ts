// What a smoke run looks for: everybody was measured, and no ratio is absurd. Pure.
import type { Question } from './question.ts';
import type { Outcome } from './runner.ts';
import { judge, short, summarize } from './statistics.ts';

/** Questions of a smoke run: those that need every side. */
export const smokeQuestions = ['roundtrip', 'connect', 'rate', 'cold', 'throughput'];
/** How long a measurement takes, of its full length. */
export const smokePace = 0.15;
/** A ratio this far from 1 is no measurement, on whatever machine. */
const absurd = 20;

export interface Check {
  readonly name: string;
  /** Undefined if it passed. */
  readonly fault: string | undefined;
}

/** A check for each contestant, and one for each ratio. */
export function smokeChecks(question: Question, { samples, skipped }: Outcome): readonly Check[] {
  const { contestants, measures, targets } = question;
  if (skipped !== undefined) return [{ name: question.name, fault: `was not measured: ${skipped}` }];
  const measured = contestants.map((who): Check => {
    // A direct connection has no proxies, and so no CPU of theirs: one value is enough.
    const values = measures.map(({ key }) => summarize(samples[who]?.[key] ?? [])?.median);
    const known = values.filter((value) => value !== undefined);
    // The first of them is what the question is about; CPU may be less than a tick of the kernel's in a short run.
    const right = (known[0] ?? 0) > 0 && known.every((value) => value >= 0);
    return { name: `${question.name}: ${who}`, fault: right ? undefined : `measured ${values.join(', ')}` };
  });
  const ratios = targets
    .filter(({ against }) => against !== undefined)
    .map((target): Check => {
      // What is added to a direct connection may drown in the noise of a short run; the whole may not.
      const { above: _, ...whole } = target;
      const ratio = judge(samples, measures, whole).summary?.median ?? Number.NaN;
      const right = ratio < absurd && ratio > 1 / absurd;
      return {
        name: `${question.name}: ${target.name}`,
        fault: right ? undefined : `the ratio is ${short(ratio)}`,
      };
    });
  return [...measured, ...ratios];
}
