// `npm run bench`: asks the questions one after the other, each in a world of its own, and prints the answers.
import { parseArguments } from './arguments.ts';
import type { Context } from './question.ts';
import { questions } from './questions/index.ts';
import { renderAnswer } from './report/terminal.ts';
import { ask } from './runner.ts';
import { CpuGroups } from './world/cpu-groups.ts';
import { findTools } from './world/tools.ts';

const wanted = parseArguments(
  process.argv.slice(2),
  questions.map(({ name }) => name),
);
if (typeof wanted === 'string') {
  process.stderr.write(`${wanted}\n`);
  process.exit(2);
}

const say = (text: string): void => void process.stderr.write(`  ${text}\n`);
const tools = await findTools();
const asked = questions.filter(
  ({ name }) => wanted.questions.length === 0 || wanted.questions.includes(name),
);
const groups = await CpuGroups.open();
await groups?.comeFirst();
for (const question of asked) {
  const context: Context = { tools, pace: 1, progress: (step) => say(`${question.name}: ${step}`) };
  const outcome = await ask(question, wanted.rounds ?? question.rounds, context);
  process.stdout.write(`${renderAnswer(question, outcome).join('\n')}\n\n`);
}
await groups?.close();
