// `npm run bench`: asks the questions one after the other, each in a world of its own, and prints the answers.
import { join } from 'node:path';
import { parseArguments } from './arguments.ts';
import { questions } from './questions/index.ts';
import type { Answer } from './report/answers.ts';
import { provenance } from './report/provenance.ts';
import { saveReport } from './report/save.ts';
import { renderAnswer } from './report/terminal.ts';
import { ask } from './runner.ts';
import type { Check } from './smoke.ts';
import { smokeChecks, smokePace, smokeQuestions } from './smoke.ts';
import { findTools } from './world/tools.ts';
import { closeWorlds } from './world/world.ts';

const wanted = parseArguments(
  process.argv.slice(2),
  questions.map(({ name }) => name),
);
if (typeof wanted === 'string') {
  process.stderr.write(`${wanted}\n`);
  process.exit(2);
}

const everything = wanted.questions.length === 0;
const names = everything && wanted.smoke ? smokeQuestions : wanted.questions;
const asked = questions.filter(({ name }) => names.length === 0 || names.includes(name));

const tools = await findTools();
const { groups } = tools;
const stop = (): void =>
  void closeWorlds()
    .then(() => groups?.close())
    .finally(() => process.exit(130));
process.once('SIGINT', stop).once('SIGTERM', stop);

await groups?.comeFirst();
try {
  const answers: Record<string, Answer> = {};
  const checks: Check[] = [];
  for (const question of asked) {
    const outcome = await ask(question, wanted.rounds ?? (wanted.smoke ? 1 : question.rounds), {
      tools,
      pace: wanted.smoke ? smokePace : 1,
      progress: (step) => void process.stderr.write(`  ${question.name}: ${step}\n`),
    });
    answers[question.name] = { ...(await provenance(tools)), ...outcome };
    checks.push(...smokeChecks(question, outcome));
    process.stdout.write(`${renderAnswer(question, outcome).join('\n')}\n\n`);
  }
  if (wanted.save || (everything && !wanted.smoke && wanted.rounds === undefined)) {
    const directory = join(import.meta.dirname, '..', '..', 'bench');
    await saveReport(directory, questions, answers);
    process.stderr.write(`  written: ${directory}/report.md, report.svg, samples.json\n`);
  }
  if (wanted.smoke) {
    const faults = checks.filter(({ fault }) => fault !== undefined);
    for (const { name, fault } of faults) process.stdout.write(`  FAIL ${name}: ${fault}\n`);
    process.stdout.write(`${checks.length - faults.length} passed, ${faults.length} failed\n`);
    process.exitCode = faults.length === 0 ? 0 : 1;
  }
} finally {
  process.off('SIGINT', stop).off('SIGTERM', stop);
  await groups?.close();
}
