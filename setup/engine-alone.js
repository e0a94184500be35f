// The engine without Node under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer: builds
// native/test and runs it. Nothing is suppressed: a report ends the program, and that is a failure.
import { join } from 'node:path';
import { root } from './dependencies.js';
import { say, seconds, step } from './progress.js';
import { captured, quietly } from './run-program.js';

const minute = 60_000;
const modes = [
  { sanitizer: 'address', buildMs: 6 * minute, runMs: 3 * minute, wrapper: [] },
  // ThreadSanitizer cannot map its shadow where kernels with more random bits put programs.
  { sanitizer: 'thread', buildMs: 6 * minute, runMs: 3 * minute, wrapper: ['setarch', '-R'] },
];

/** Resolves to how many scenarios passed and failed, of both sanitizers together. */
export async function runEngineAlone() {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const mode of modes) {
    const { passed, failed } = await runMode(mode);
    totals.passed += passed;
    totals.failed += failed;
  }
  return totals;
}

async function runMode({ sanitizer, buildMs, runMs, wrapper }) {
  await step(`building the engine without Node, sanitizer ${sanitizer}`, () =>
    quietly(process.execPath, [join(root, 'native', 'build.js'), '--alone', sanitizer], {
      cwd: root,
      timeout: buildMs,
    }),
  );
  const from = Date.now();
  const program = join(root, 'build', `alone-${sanitizer}`, 'engine_test');
  const [file, ...args] = [...wrapper, program];
  const env = { ...process.env, ...options };
  const { status, output } = await captured(file, args, {
    cwd: root,
    env,
    timeout: runMs,
    killSignal: 'SIGKILL',
  });
  process.stdout.write(output);
  const last = /^(\d+) passed, (\d+) failed$/m.exec(output);
  const passed = Number(last?.[1] ?? 0);
  const failed = Number(last?.[2] ?? 0);
  const late = Date.now() - from >= runMs ? ', stopped at its time budget' : '';
  say(
    `the engine alone, sanitizer ${sanitizer}: exit code ${status}, ${seconds(from)} of ${runMs / 1000} s${late}`,
  );
  // A report of a sanitizer changes the exit code and no scenario: it is a failure of its own.
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed };
}

const options = {
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1:halt_on_error=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
};
