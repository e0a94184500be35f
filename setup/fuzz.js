// `npm run fuzz`: every target replays its seeds and the inputs that once failed, then looks for new ones. What it
// learns stays in the corpus outside of the checkout. `--brief` is for CI: some seconds each, the same inputs each time.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import * as os from 'node:os';
import { join } from 'node:path';
import { root } from './dependencies.js';
import { fuzzHome, fuzzPrograms, fuzzTargets } from './fuzz-programs.js';
import { say, seconds } from './progress.js';
import { captured } from './run-program.js';
import { runProperties } from './suites.js';

const usage = 'usage: npm run fuzz [target...] [-- --minutes N | --brief]';
const minutesUsual = 5;
const briefSeconds = 10;
/** The readers in TypeScript, whose inputs fast-check makes. */
const properties = 'properties';
/** One input that takes longer is a hang; one that needs more memory is a leak or an amplification. */
const limits = ['-timeout=60', '-rss_limit_mb=1500', '-max_len=4096', '-len_control=0'];
const environment = {
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};

/** Prints a line per target and, alone on the last line, how many replays and searches passed and failed. */
export async function runFuzz(args) {
  const chosen = parse(args);
  if (chosen === undefined) {
    say(usage);
    say(`targets: ${[...fuzzTargets(), properties].join(' ')}`);
    return 2;
  }
  const outcomes = [];
  if (chosen.targets.includes(properties)) {
    // A minute of searching is a second for each property: there are some sixty.
    const totals = await runProperties(Math.max(1, Math.round(chosen.seconds / 60)));
    outcomes.push(...Array(totals.passed).fill(true), ...Array(totals.failed).fill(false));
  }
  const waiting = chosen.targets.filter((target) => target !== properties);
  const programs = waiting.length === 0 ? '' : await fuzzPrograms();
  const worker = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift())
      outcomes.push(...(await runTarget(target, join(programs, target), chosen)));
  };
  const workers = os.availableParallelism?.() ?? os.cpus().length;
  await Promise.all(Array.from({ length: workers }, worker));
  const failed = outcomes.filter((passed) => !passed).length;
  process.stdout.write(`${outcomes.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

/** The targets to run and for how long, or undefined if that is not what the arguments say. */
function parse(args) {
  const all = fuzzTargets();
  const targets = [];
  let minutes = minutesUsual;
  let brief = false;
  for (let i = 0; i < args.length; i += 1) {
    if (args[i] === '--brief') brief = true;
    else if (args[i] === '--minutes') minutes = Number(args[(i += 1)]);
    else if (all.includes(args[i]) || args[i] === properties) targets.push(args[i]);
    else return undefined;
  }
  if (!(minutes > 0)) return undefined;
  // `npm test` has tried the properties briefly.
  const usual = brief ? all : [...all, properties];
  return {
    targets: targets.length > 0 ? targets : usual,
    seconds: brief ? briefSeconds : minutes * 60,
    brief,
  };
}

/** Whether its replay and its search passed. */
async function runTarget(target, program, { seconds: time, brief }) {
  const failures = join(fuzzHome, 'failures', target);
  const corpus = brief ? mkdtempSync(join(os.tmpdir(), 'culvert-fuzz-')) : join(fuzzHome, 'corpus', target);
  for (const directory of [failures, corpus]) mkdirSync(directory, { recursive: true });
  const known = ['regressions', 'seeds']
    .map((kind) => join(root, 'native', 'fuzz', kind, target))
    .filter((directory) => existsSync(directory));
  const files = known.flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)));
  try {
    const common = [...limits, `-artifact_prefix=${failures}/`];
    // Each by itself, so that one that fails is named.
    const replayed = files.length === 0 || (await run(target, 'replay', program, [...common, ...files]));
    const search = [...common, `-max_total_time=${time}`, ...(brief ? ['-seed=1'] : []), corpus, ...known];
    return [replayed, await run(target, 'search', program, search)];
  } finally {
    if (brief) rmSync(corpus, { recursive: true, force: true });
  }
}

async function run(target, what, program, args) {
  const from = Date.now();
  const env = { ...process.env, ...environment };
  const { status, output } = await captured(program, args, { cwd: root, env });
  const inputs = output.match(/^Executed /gm)?.length ?? 0;
  const [, runs, edges] = /^#(\d+)\s+DONE\s+cov: (\d+)/m.exec(output) ?? [];
  const did = what === 'replay' ? `${inputs} inputs` : `${runs} runs, ${edges} edges`;
  process.stdout.write(`  ${status === 0 ? 'ok  ' : 'FAIL'} ${target}: ${what}, ${did}, ${seconds(from)}\n`);
  if (status === 0) return true;
  process.stdout.write(`${output.split('\n').slice(-80).join('\n')}\n`);
  const input =
    /Test unit written to (\S+)/.exec(output)?.[1] ?? /^Running: (\S+)$(?![^]*^Running:)/m.exec(output)?.[1];
  if (input !== undefined) {
    process.stdout.write(`  again: ASAN_OPTIONS=handle_abort=1 ${program} ${input}\n`);
    process.stdout.write(`  to keep it: cp ${input} native/fuzz/regressions/${target}/<what goes wrong>\n`);
  }
  return false;
}
