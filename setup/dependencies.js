// Brings node_modules and the addon up to date, and does nothing if they are.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBuilt, restore, sourceHash } from '../native/built.js';
import { say, step } from './progress.js';
import { SetupError, quietly } from './run-program.js';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** The Node that the project brings along. */
export const bundledNode = join(root, 'node_modules', '.bin', 'node');

/** `npm ci`, if what is installed is not what package-lock.json says. */
export async function installModules() {
  const installed = readJson('node_modules/.package-lock.json');
  if (existsSync(bundledNode) && modulesAreCurrent(readJson('package-lock.json'), installed, isInstalled))
    return;
  await step('installing node modules (npm ci)', () => {
    // Without scripts: nothing here needs one, and the addon is built below.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    // npm's own patience without a network is minutes.
    args.push('--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000');
    const [file, all] = npmCommand(args);
    return quietly(file, all, { cwd: root, name: 'npm' });
  });
  if (!existsSync(bundledNode))
    throw new SetupError(
      `npm did not install node-linux-${process.arch}: run \`npm ci --include=optional\` and look for errors`,
    );
}

/** Program and arguments of npm: the one that runs us, if it does. */
export function npmCommand(args) {
  const own = process.env.npm_execpath;
  return own !== undefined && existsSync(own) && own.endsWith('.js')
    ? [process.execPath, [own, ...args]]
    : ['npm', args];
}

/**
 * True if every package of the lock is installed in its version, save those for other platforms. `installed` is what npm
 * noted of the last installation; `isThere` looks whether a package is still where that says.
 */
export function modulesAreCurrent(lock, installed, isThere) {
  if (installed === undefined) return false;
  if (!(`node_modules/node-linux-${process.arch}` in installed.packages)) return false;
  return Object.entries(lock.packages).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const there = installed.packages[path];
    return there === undefined ? optional === true : there.version === version && isThere(path);
  });
}

function isInstalled(path) {
  return existsSync(join(root, path, 'package.json'));
}

/** True if there is nothing to compile: the addon is current, or one that was built earlier is. */
export function addonIsCurrent() {
  const out = join(root, 'build', 'native');
  const hash = sourceHash(root);
  if (isBuilt(out, hash)) return true;
  if (!restore(out, hash)) return false;
  say('the native addon was built before: taken from the cache');
  return true;
}

export async function buildAddon(args = []) {
  await step(`building the native addon${args.includes('--sanitize') ? ' with sanitizers' : ''}`, () =>
    quietly(process.execPath, [join(root, 'native', 'build.js'), ...args], { cwd: root }),
  );
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8'));
  } catch {
    return undefined;
  }
}
