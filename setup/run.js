// `npm start`, `npm test`, `npm run test:sanitizers`, `npm run bench`, ...: brings the machine and the checkout to where
// they can run, then runs. Plain JavaScript for Node >= 18, without dependencies: it comes before `npm ci`.
import { join } from 'node:path';
import { addonIsCurrent, buildAddon, bundledNode, installModules, root } from './dependencies.js';
import { runFuzz } from './fuzz.js';
import { inspectMachine, machineFaults } from './machine.js';
import { installPackages, missingPackages } from './packages.js';
import { say, seconds } from './progress.js';
import { SetupError, foreground } from './run-program.js';
import { runBenches, runHostile, runInterop, runSanitizers, runTests } from './suites.js';

const verbs = {
  start: (args) =>
    foreground(bundledNode, [join(root, 'src', 'cli', 'main.ts'), 'playground', ...args], { cwd: root }),
  test: runTests,
  sanitizers: async (args) => {
    await buildAddon(['--sanitize']);
    return runSanitizers(args);
  },
  fuzz: runFuzz,
  interop: runInterop,
  hostile: runHostile,
  bench: runBenches,
};

async function main([verb, ...args]) {
  const faults = machineFaults(inspectMachine());
  if (faults.length > 0) {
    for (const fault of faults) say(fault);
    return 1;
  }
  const run = Object.hasOwn(verbs, verb ?? '') ? verbs[verb] : undefined;
  if (run === undefined) {
    say(`usage: node setup/run.js ${Object.keys(verbs).join('|')} [arguments]`);
    return 2;
  }
  const built = addonIsCurrent();
  const missing = missingPackages({
    build: !built || verb === 'sanitizers',
    alone: verb === 'sanitizers',
    fuzz: verb === 'fuzz',
  });
  await installPackages(missing);
  await installModules();
  if (!built) await buildAddon();
  if (missing.length > 0 || !built) say(`ready after ${seconds()}`);
  return run(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
