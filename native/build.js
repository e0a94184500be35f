// The only place that knows how to build the addon. Plain JavaScript for Node >= 18: it runs before
// the project's own Node 24 is known to be there.
//
//   node native/build.js               build if sources changed; a missing tool is an error
//   node native/build.js --optional    build if the tools are there, else say what is missing and exit 0
//   node native/build.js --sanitize    build/sanitize/Release/culvert.node with ASan and UBSan
//   node native/build.js --alone address|thread   the engine and its test without Node, in build/alone-address/engine_test
//   node native/build.js --alone fuzz  the fuzz targets, in build/alone-fuzz/fuzz/
//   node native/build.js --missing     print the missing system packages, one a line, and build nothing
//   node native/build.js --verbose     show what the compilers say even if all goes well
//
// CULVERT_BUILD_DIR names another directory than build/native or build/sanitize.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addonIn, isBuilt, keep, markBuilt, markStale, restore, sourceHash } from './built.js';
import { findBpftool, missingRequirements } from './requirements.js';
import { unresolvedSymbols } from './symbols.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(join(root, 'package.json'));

async function main(args) {
  const has = (flag) => args.includes(flag);
  if (has('--missing')) {
    for (const { packages, why } of missingRequirements())
      for (const name of packages) console.log(`${name}\t${why}`);
    return 0;
  }
  if (process.platform !== 'linux') {
    console.error('culvert: the native addon is for Linux only; not built');
    return has('--optional') ? 0 : 1;
  }
  if (has('--alone')) return buildAlone(args[args.indexOf('--alone') + 1], has('--verbose'));
  const out = buildDirectory(has('--sanitize'));
  const shared = !has('--sanitize') && process.env.CULVERT_BUILD_DIR === undefined;
  const hash = sourceHash(root);
  if (isBuilt(out, hash)) return 0;
  if (shared && restore(out, hash)) return 0;
  if (!hasAll(missingRequirements())) return has('--optional') ? 0 : 1;
  markStale(out);
  const status = await build(out, { sanitize: has('--sanitize'), verbose: has('--verbose') });
  if (status !== 0) return status;
  // Sources that changed meanwhile are not what was compiled.
  if (sourceHash(root) === hash) {
    markBuilt(out, hash);
    if (shared) keep(out, hash);
  }
  return 0;
}

/** Says what is missing, and how to get it; true if that is nothing. */
function hasAll(gaps) {
  if (gaps.length === 0) return true;
  for (const { name, why } of gaps) console.error(`culvert: missing ${name} (${why})`);
  console.error(`culvert: apt-get install ${gaps.flatMap(({ packages }) => packages).join(' ')}`);
  return false;
}

/** libFuzzer is clang's. */
const clang = ['-DCMAKE_C_COMPILER=clang', '-DCMAKE_CXX_COMPILER=clang++'];

/** Make compares times, so this is quick if nothing has changed: no stamp is kept. */
async function buildAlone(sanitizer, verbose) {
  const fuzz = sanitizer === 'fuzz';
  if (!fuzz && sanitizer !== 'address' && sanitizer !== 'thread') {
    console.error('culvert: --alone takes address or thread, the sanitizer to build with, or fuzz');
    return 2;
  }
  if (!hasAll(missingRequirements({ alone: true, fuzz }))) return 1;
  const out = join(root, 'build', `alone-${sanitizer}`);
  const steps = [
    ['-S', root, '-B', out, `-DCULVERT_ALONE=${sanitizer}`, ...(fuzz ? clang : [])],
    ['--build', out, '--parallel', String(processors())],
  ];
  for (const step of steps) {
    const { status, output } = await run('cmake', step, verbose);
    if (status === 0) continue;
    if (!verbose) process.stderr.write(output);
    console.error(`culvert: the build of the engine alone failed (cmake ${step[0]})`);
    return status ?? 1;
  }
  return 0;
}

function buildDirectory(sanitize) {
  const named = process.env.CULVERT_BUILD_DIR;
  return named === undefined ? join(root, 'build', sanitize ? 'sanitize' : 'native') : resolve(named);
}

async function build(out, { sanitize, verbose }) {
  const { include, binary } = bundledNode();
  const defines = {
    NODE_INCLUDE: include,
    NODE_BINARY: binary,
    NODE_ADDON_API: dirname(require.resolve('node-addon-api/package.json')),
    BPFTOOL: findBpftool(),
    CULVERT_SANITIZE: sanitize ? 'ON' : 'OFF',
  };
  const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  const steps = isConfigured(out, defines) ? ['build'] : ['reconfigure', 'build'];
  mkdirSync(out, { recursive: true });
  for (const step of steps) {
    const flags = Object.entries(defines).map(([key, value]) => `--CD${key}=${value}`);
    const jobs = String(processors());
    const command = [cmakeJs, step, '--log-level', 'error', '--parallel', jobs, '--out', out, ...flags];
    const { status, output } = await run(process.execPath, command, verbose);
    if (status !== 0) {
      if (!verbose) process.stderr.write(output);
      console.error(`culvert: the native build failed (${step})`);
      return status ?? 1;
    }
  }
  const unresolved = unresolvedSymbols(addonIn(out), binary);
  if (unresolved.length === 0) return 0;
  console.error('culvert: the addon uses functions that neither Node nor a library it is linked with has:');
  for (const name of unresolved) console.error(`  ${demangle(name)}`);
  return 1;
}

/** The Node that will load the addon, and its headers: never those of whatever `node` is in PATH. */
function bundledNode() {
  const home = dirname(require.resolve(`node-linux-${process.arch}/package.json`));
  return { include: join(home, 'include', 'node'), binary: realpathSync(join(home, 'bin', 'node')) };
}

/** True if the directory was configured with the same paths and options. */
function isConfigured(out, defines) {
  const cache = join(out, 'CMakeCache.txt');
  if (!existsSync(cache)) return false;
  const lines = readFileSync(cache, 'utf8').split('\n');
  return Object.entries(defines).every(([key, value]) =>
    lines.some((line) => line.startsWith(`${key}:`) && line.endsWith(`=${value}`)),
  );
}

/** Runs a program and collects what it says; shows it as it comes if asked to. */
function run(file, args, show) {
  return new Promise((done) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-200_000);
        if (show) process.stderr.write(text);
      });
    child.on('error', (error) => done({ status: 1, output: String(error) }));
    child.on('close', (status) => done({ status, output }));
  });
}

function processors() {
  // Node 18.0 has no availableParallelism, and importing it by name would end the program there.
  return os.availableParallelism?.() ?? os.cpus().length;
}

function demangle(name) {
  return spawnSync('c++filt', [name], { encoding: 'utf8' }).stdout?.trim() || name;
}

process.exitCode = await main(process.argv.slice(2));
