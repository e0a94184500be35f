// Runs a suite and prints, alone on the last line, how many tests passed and failed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundledNode, root } from './dependencies.js';
import { runEngineAlone } from './engine-alone.js';
import { ensureEnvoy } from './envoy.js';
import { say, seconds } from './progress.js';
import { captured, foreground, quietly } from './run-program.js';

/** Checks of the sources, each of which counts as one test. */
const checks = [
  { what: 'types (tsc)', program: 'tsc', args: ['--noEmit'] },
  { what: 'lint (eslint)', program: 'eslint', args: ['.'] },
  { what: 'format (prettier)', program: 'prettier', args: ['--check', '--log-level', 'warn', '.'] },
];

/** The checks and all of mocha's tests, or with arguments (`--grep shop`, a file) only those of mocha. */
export async function runTests(args) {
  // Mocha runs what it is given: everything, unless the arguments name files.
  // Interoperability has a suite of its own, since its peers have to be fetched; the attacks, since they take minutes.
  const everything = ['--ignore', 'test/interop/**', '--ignore', 'test/hostile/**', 'test/**/*.test.ts'];
  const specs = args.some((arg) => arg.startsWith('test')) ? args : [...args, ...everything];
  const totals = [args.length > 0 ? none : await runChecks(), await runMocha(specs, {})];
  return report(totals);
}

/**
 * The engine without Node; then mocha's engine and namespace tests with the addon built with AddressSanitizer and
 * UndefinedBehaviorSanitizer. With arguments only those of mocha.
 */
export async function runSanitizers(args) {
  // What a ztunnel holds with a sanitizer in it says nothing about one without; a sanitizer takes all addresses there are,
  // whose terabytes cannot be read; and it wants to be the first library that is loaded.
  const without = [
    'netns/idle-memory',
    'netns/mesh-secrets',
    'netns/mesh-clock',
    'engine/out-of-memory',
  ].flatMap((name) => ['--ignore', `test/${name}.test.ts`]);
  const specs = ['test/engine/**/*.test.ts', 'test/hostile/**/*.test.ts', 'test/netns/**/*.test.ts'];
  const preload = ['libasan.so', 'libubsan.so'].map((library) =>
    spawnSync('gcc', [`-print-file-name=${library}`], { encoding: 'utf8' }).stdout.trim(),
  );
  const env = {
    CULVERT_ADDON: join(root, 'build', 'sanitize', 'Release', 'culvert.node'),
    CULVERT_SANITIZED: '1', // tests take a pairwise selection and longer deadlines
    CULVERT_PRELOAD: preload.join(':'),
    // Every program that a test starts is preloaded too; only Node is ours to look for leaks and string faults in.
    ASAN_OPTIONS: `detect_leaks=0:replace_str=0:include_if_exists=${join(root, 'setup', 'sanitizers', '%b.options')}`,
    LSAN_OPTIONS: `suppressions=${join(root, 'setup', 'sanitizers', 'leaks.supp')}:print_suppressions=0`,
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
  const chosen =
    args.length > 0
      ? args
      : [...without, ...specs.filter((spec) => existsSync(join(root, spec.split('/**')[0])))];
  const alone = args.length > 0 ? none : await runEngineAlone();
  return report([alone, await runMocha(['--timeout', '120000', ...chosen], env, preload.join(':'))]);
}

/** The mesh with peers that share no code with it. */
export async function runInterop(args) {
  const envoy = await ensureEnvoy();
  const specs = args.some((arg) => arg.startsWith('test')) ? args : [...args, 'test/interop/**/*.test.ts'];
  return report([await runMocha(specs, { ENVOY_PROGRAM: envoy })]);
}

/** Every attack of test/hostile against one process. */
export async function runHostile(args) {
  const specs = args.some((arg) => arg.startsWith('test')) ? args : [...args, 'test/hostile/**/*.test.ts'];
  return report([await runMocha(specs, {})]);
}

/** The benches, against Envoy and HAProxy: Culvert as it is shipped, so compiled first. */
export async function runBenches(args) {
  const envoy = await ensureEnvoy();
  const started = Date.now();
  await quietly(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root });
  say(`compiled in ${seconds(started)}`);
  const env = { ...testEnvironment({}), ENVOY_PROGRAM: envoy };
  return foreground(bundledNode, [join(root, 'test', 'bench', 'main.ts'), ...args], { cwd: root, env });
}

/** The tests that state properties of readers of outside input, each property tried for `seconds`. Resolves to totals. */
export async function runProperties(seconds) {
  const files = readdirSync(join(root, 'test'), { recursive: true })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join('test', file))
    .filter((file) => readFileSync(join(root, file), 'utf8').includes('/support/properties.ts'));
  return runMocha(['--timeout', '0', ...files.sort()], { PROPERTY_SECONDS: String(seconds) });
}

const none = { passed: 0, failed: 0, skipped: 0 };

async function runChecks() {
  let passed = 0;
  for (const { what, program, args } of checks) {
    const from = Date.now();
    const tool = join(root, 'node_modules', '.bin', program);
    const { status, output } = await captured(tool, args, { cwd: root, env: testEnvironment({}) });
    process.stdout.write(`  ${status === 0 ? 'ok  ' : 'FAIL'} ${what}, ${seconds(from)}\n`);
    if (status === 0) passed += 1;
    else process.stdout.write(output);
  }
  return { passed, failed: checks.length - passed, skipped: 0 };
}

/** `preload` is for Node alone: with it in our own environment every helper of ours would be sanitized too. */
async function runMocha(args, extra, preload) {
  const directory = mkdtempSync(join(tmpdir(), 'culvert-test-'));
  const result = join(directory, 'result.json');
  try {
    const env = { ...testEnvironment(extra), CULVERT_TEST_RESULT: result };
    const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const reporter = join(root, 'setup', 'test-reporter.cjs');
    const status = await foreground(bundledNode, [mocha, '--reporter', reporter, ...args], {
      cwd: root,
      env: preload === undefined ? env : { ...env, LD_PRELOAD: preload },
    });
    const totals = existsSync(result) ? JSON.parse(readFileSync(result, 'utf8')) : none;
    // A run that died, or failed outside of a test, has failed even if every test before that passed.
    return status !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** In CI a test that skips itself for want of privileges has failed. */
function testEnvironment(extra) {
  const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const ci = process.env.CI === 'true' || process.env.CI === '1' ? { CULVERT_REQUIRE_ROOT: '1' } : {};
  return { ...process.env, PATH: path, ...ci, ...extra };
}

function report(totals) {
  const sum = (key) => totals.reduce((total, one) => total + one[key], 0);
  const skipped = sum('skipped');
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`);
  return sum('failed') === 0 ? 0 : 1;
}
