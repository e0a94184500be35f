// The command line of the benches. Pure.

export interface BenchArguments {
  /** Names of questions; all of them if none was named. */
  readonly questions: readonly string[];
  readonly rounds: number | undefined;
  /** A short run that shows that it works. */
  readonly smoke: boolean;
  /** Puts the answers into bench/. */
  readonly save: boolean;
}

export const usage = 'npm run bench -- [question...] [--rounds N] [--save] [--smoke]';

/** What was asked for, or a sentence that says what is wrong with it. */
export function parseArguments(args: readonly string[], known: readonly string[]): BenchArguments | string {
  const questions: string[] = [];
  let rounds: number | undefined;
  let smoke = false;
  let save = false;
  for (let index = 0; index < args.length; index += 1) {
    const [name = '', inline] = (args[index] ?? '').split('=', 2);
    if (name === '--smoke') smoke = true;
    else if (name === '--save') save = true;
    else if (name === '--rounds') {
      const text = inline ?? args[(index += 1)];
      rounds = Number(text);
      if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
        return `--rounds takes 1 to 100, not ${text}`;
    } else if (name.startsWith('-')) return `there is no option ${name}: ${usage}`;
    else if (known.includes(name)) questions.push(name);
    else return `there is no question ${name}; there are ${known.join(', ')}`;
  }
  return { questions, rounds, smoke, save };
}
