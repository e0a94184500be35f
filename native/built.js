// Knows whether the addon that is there was built from the sources that are there: a hash of all that goes into it.
// Built addons are also kept outside the checkout under that hash, so that a fresh clone need not compile.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';

const keptMax = 8;
/** What the build makes: the addon, and the program that keeps its listeners. */
const outputs = ['culvert.node', 'culvert-holder'];

/** Hash of the sources, the build description, the headers' versions and the distribution they are compiled on. */
export function sourceHash(root) {
  const hash = createHash('sha256');
  const others = ['test', 'fuzz'].map((name) => join(root, 'native', name, '/'));
  const sources = filesUnder(join(root, 'native')).filter(
    (file) => !others.some((other) => file.startsWith(other)),
  );
  for (const file of [join(root, 'CMakeLists.txt'), ...sources])
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const name of [`node-linux-${process.arch}`, 'node-addon-api', 'cmake-js'])
    hash.update(`${name}=${packages[`node_modules/${name}`]?.version}\0`);
  if (existsSync('/etc/os-release'))
    hash.update(
      readFileSync('/etc/os-release', 'utf8')
        .match(/^(ID|VERSION_ID)=.*$/gm)
        ?.join() ?? '',
    );
  return hash.digest('hex').slice(0, 32);
}

/** True if the addon in `out` is what `hash` stands for. */
export function isBuilt(out, hash) {
  const stamp = join(out, '.source-hash');
  return (
    outputs.every((name) => existsSync(outputIn(out, name))) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === hash
  );
}

export function markBuilt(out, hash) {
  writeFileSync(join(out, '.source-hash'), hash);
}

/** To be called before a build: one that fails half-way must not look done. */
export function markStale(out) {
  rmSync(join(out, '.source-hash'), { force: true });
}

/** Puts the kept addon of this hash into `out`, if there is one. */
export function restore(out, hash) {
  const kept = join(keepDirectory(), hash);
  if (!outputs.every((name) => existsSync(join(kept, name)))) return false;
  mkdirSync(join(out, 'Release'), { recursive: true });
  for (const name of outputs) copyThenRename(join(kept, name), outputIn(out, name));
  markBuilt(out, hash);
  const now = new Date();
  utimesSync(join(keepDirectory(), hash), now, now);
  return true;
}

/** Keeps the addon of `out` for other checkouts; the oldest beyond a handful go. */
export function keep(out, hash) {
  try {
    const directory = keepDirectory();
    mkdirSync(join(directory, hash), { recursive: true });
    for (const name of outputs) copyThenRename(outputIn(out, name), join(directory, hash, name));
    const byAge = readdirSync(directory)
      .map((name) => ({ path: join(directory, name), at: statSync(join(directory, name)).mtimeMs }))
      .sort((a, b) => b.at - a.at);
    for (const { path } of byAge.slice(keptMax)) rmSync(path, { recursive: true, force: true });
  } catch (error) {
    console.error(`culvert: the addon was built but cannot be kept for later: ${error.message}`);
  }
}

export function addonIn(out) {
  return outputIn(out, 'culvert.node');
}

function outputIn(out, name) {
  return join(out, 'Release', name);
}

function keepDirectory() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'culvert', 'addons');
}

/** A running process may have the old file mapped: it keeps it, the name gets the new one. */
function copyThenRename(from, to) {
  copyFileSync(from, `${to}.${process.pid}`);
  renameSync(`${to}.${process.pid}`, to);
}

/** Every file in a directory and below, in an order that does not depend on the file system. */
export function filesUnder(directory) {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? filesUnder(path) : [path];
    });
}
