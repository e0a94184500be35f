// The fuzz targets, built: kept outside of the checkout under a hash of their sources, so that a fresh clone need not
// compile them.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import { filesUnder } from '../native/built.js';
import { root } from './dependencies.js';
import { step } from './progress.js';
import { quietly } from './run-program.js';

const keptMax = 3;
const buildMs = 10 * 60_000;

/** Where all that fuzzing makes is kept: programs, corpora, inputs that failed. */
export const fuzzHome = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'culvert', 'fuzz');

/** Names of the targets, as native/fuzz/CMakeLists.txt has them. */
export function fuzzTargets() {
  const description = readFileSync(join(root, 'native', 'fuzz', 'CMakeLists.txt'), 'utf8');
  return [...description.matchAll(/^fuzz_target\((\w+)/gm)].map((match) => match[1]);
}

/** Directory with one program per target; built if none is kept. */
export async function fuzzPrograms() {
  const hash = fuzzHash();
  const programs = join(fuzzHome, 'programs', hash);
  if (existsSync(programs)) {
    const now = new Date();
    utimesSync(programs, now, now);
    return programs;
  }
  await step('building the fuzz targets', () =>
    quietly(process.execPath, [join(root, 'native', 'build.js'), '--alone', 'fuzz'], {
      cwd: root,
      timeout: buildMs,
    }),
  );
  // Sources that changed meanwhile are not what was compiled.
  if (fuzzHash() !== hash) return fuzzPrograms();
  mkdirSync(join(fuzzHome, 'programs'), { recursive: true });
  const staging = mkdtempSync(`${programs}.`);
  for (const target of fuzzTargets())
    copyFileSync(join(root, 'build', 'alone-fuzz', 'fuzz', target), join(staging, target));
  rmSync(programs, { recursive: true, force: true });
  renameSync(staging, programs);
  dropOldest();
  return programs;
}

function fuzzHash() {
  const hash = createHash('sha256');
  const native = join(root, 'native');
  const compiled = ['addon', 'fuzz', 'test'].flatMap((directory) => filesUnder(join(native, directory)));
  const sources = compiled.filter((file) => /\.(cc|h|txt)$/.test(file));
  for (const file of [join(root, 'CMakeLists.txt'), join(native, 'build.js'), ...sources])
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  if (existsSync('/etc/os-release')) hash.update(readFileSync('/etc/os-release'));
  return hash.digest('hex').slice(0, 32);
}

function dropOldest() {
  const directory = join(fuzzHome, 'programs');
  const byAge = readdirSync(directory)
    .map((name) => ({ path: join(directory, name), at: statSync(join(directory, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { path } of byAge.slice(keptMax)) rmSync(path, { recursive: true, force: true });
}
