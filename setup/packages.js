// Programs of the system that the playground and the tests run, and how to get them.
import { readdirSync } from 'node:fs';
import { missingRequirements, onPath } from '../native/requirements.js';
import { step } from './progress.js';
import { SetupError, captured, quietly } from './run-program.js';

const programs = [
  { program: 'ip', packages: ['iproute2'], why: 'makes network namespaces' },
  { program: 'nsenter', packages: ['util-linux'], why: 'enters network namespaces' },
  { program: 'nm', packages: ['binutils'], why: 'checks the symbols of the addon' },
  { program: 'curl', packages: ['curl'], why: 'is a client of the playground' },
  { program: 'haproxy', packages: ['haproxy'], why: 'is a rival in the benches' },
  { program: 'iperf3', packages: ['iperf3'], why: 'measures throughput' },
  { program: 'nc', packages: ['netcat-openbsd'], why: 'talks plain TCP in tests' },
  { program: 'openssl', packages: ['openssl'], why: 'is a hostile TLS peer in tests' },
  { program: 'python3', packages: ['python3'], why: "runs the playground's servers" },
  { program: 'tcpdump', packages: ['tcpdump'], why: 'proves what crosses the wire' },
];

/**
 * Packages that are not there: name and reason. The build's are looked for only if there is something to build, those of
 * the engine without Node, and of fuzzing it, only where that is done.
 */
export function missingPackages({ build, alone = false, fuzz = false }) {
  const gaps = [
    ...(build ? missingRequirements() : []),
    ...(alone || fuzz ? missingRequirements({ alone: true, fuzz }) : []),
    ...programs.filter(({ program }) => onPath(program) === undefined),
  ];
  const reasons = new Map();
  for (const { packages, why } of gaps) for (const name of packages) reasons.set(name, why);
  return [...reasons].map(([name, why]) => ({ name, why }));
}

/** Installs packages with apt after saying which and why; where there is no apt, says their names. */
export async function installPackages(packages) {
  if (packages.length === 0) return;
  const names = packages.map(({ name }) => name);
  process.stderr.write(`culvert: ${names.length} system packages are missing:\n`);
  for (const { name, why } of packages) process.stderr.write(`           ${name.padEnd(18)} ${why}\n`);
  if (onPath('apt-get') === undefined)
    throw new SetupError(
      `this system has no apt-get: install what your distribution calls ${names.join(', ')}`,
    );
  await step(`installing them with apt-get`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const install = ['install', '-y', '-q', '--no-install-recommends', ...names];
    if (!hasPackageLists()) await quietly('apt-get', ['update', '-q'], { env });
    else if ((await captured('apt-get', install, { env })).status === 0) return;
    else await quietly('apt-get', ['update', '-q'], { env });
    await quietly('apt-get', install, { env });
  });
}

/** Minimal images come without package lists. */
function hasPackageLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));
  } catch {
    return false;
  }
}
