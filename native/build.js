// The only place that knows how to build the addon. Plain JavaScript for Node >= 18: it runs before
// the project's own Node 24 is known to be there.
//
//   node native/build.js               build; a missing tool is an error
//   node native/build.js --optional    build if the tools are there, else say what is missing and exit 0
//   node native/build.js --sanitize    build/sanitize/culvert.node with ASan and UBSan
//   node native/build.js --missing     print the missing system packages, one a line, and build nothing
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What the build needs: how to see that it is there, the Debian package that brings it, and why. */
const requirements = [
  { name: 'clang', package: 'clang', why: 'compiles the eBPF programs', found: () => onPath('clang') },
  {
    name: 'bpftool',
    package: 'bpftool',
    why: 'embeds the eBPF programs in the addon',
    found: () => findBpftool(),
  },
  { name: 'cmake', package: 'cmake', why: 'drives the native build', found: () => onPath('cmake') },
  { name: 'make', package: 'make', why: 'runs the native build', found: () => onPath('make') },
  { name: 'g++', package: 'g++', why: 'compiles the addon', found: () => onPath('g++') },
  {
    name: 'pkg-config',
    package: 'pkg-config',
    why: 'finds the libraries',
    found: () => onPath('pkg-config'),
  },
  {
    name: 'libbpf >= 1.0',
    package: 'libbpf-dev',
    why: 'loads the eBPF programs',
    found: () => library('libbpf', '1.0'),
  },
  {
    name: 'libmnl',
    package: 'libmnl-dev',
    why: 'speaks netlink: rules, routes, interfaces',
    found: () => library('libmnl'),
  },
  {
    name: 'nghttp2.h',
    package: 'libnghttp2-dev',
    why: 'declares the HTTP/2 functions that Node exports',
    found: () => library('libnghttp2'),
  },
];

function onPath(tool) {
  const found = (process.env.PATH ?? '')
    .split(':')
    .map((dir) => join(dir, tool))
    .find((file) => existsSync(file));
  return found;
}

function findBpftool() {
  return onPath('bpftool') ?? ['/usr/sbin/bpftool', '/sbin/bpftool'].find((file) => existsSync(file));
}

function library(name, atLeast) {
  const wanted = atLeast === undefined ? ['--exists', name] : [`--atleast-version=${atLeast}`, name];
  return spawnSync('pkg-config', wanted).status === 0;
}

function missing() {
  return requirements.filter((requirement) => !requirement.found());
}

/** The headers of the Node that will load the addon: never those of whatever `node` is in PATH. */
function nodeHeaders() {
  const require = createRequire(join(root, 'package.json'));
  const name = `node-linux-${process.arch}`;
  const include = join(dirname(require.resolve(`${name}/package.json`)), 'include', 'node');
  const binary = join(dirname(require.resolve(`${name}/package.json`)), 'bin', 'node');
  return { include, binary: realpathSync(binary) };
}

function build({ sanitize }) {
  const { include, binary } = nodeHeaders();
  const require = createRequire(join(root, 'package.json'));
  const napi = dirname(require.resolve('node-addon-api/package.json'));
  const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  const out = join(root, 'build', sanitize ? 'sanitize' : 'native');
  const defines = {
    NODE_INCLUDE: include,
    NODE_BINARY: binary,
    NODE_ADDON_API: napi,
    BPFTOOL: findBpftool(),
    CULVERT_SANITIZE: sanitize ? 'ON' : 'OFF',
  };
  const cache = join(out, 'CMakeCache.txt');
  const configured = existsSync(cache) ? readFileSync(cache, 'utf8') : '';
  const current = Object.entries(defines).every(([key, value]) =>
    configured.split('\n').some((line) => line.startsWith(`${key}:`) && line.endsWith(`=${value}`)),
  );
  const flags = Object.entries(defines).map(([key, value]) => `--CD${key}=${value}`);
  const verb = current ? 'compile' : configured === '' ? 'compile' : 'reconfigure';
  const steps = verb === 'reconfigure' ? ['reconfigure', 'compile'] : ['compile'];
  for (const step of steps) {
    const run = spawnSync(
      process.execPath,
      [cmakeJs, step, '--silent', '--parallel', '2', '--out', out, ...flags],
      {
        cwd: root,
        stdio: 'inherit',
      },
    );
    if (run.status !== 0) return run.status ?? 1;
  }
  return 0;
}

function main(args) {
  const gaps = missing();
  if (args.includes('--missing')) {
    for (const gap of gaps) console.log(`${gap.package}\t${gap.why}`);
    return 0;
  }
  const optional = args.includes('--optional');
  if (process.platform !== 'linux') {
    console.error('culvert: the native addon is for Linux only; not built');
    return optional ? 0 : 1;
  }
  if (gaps.length > 0) {
    for (const gap of gaps) console.error(`culvert: missing ${gap.name} (${gap.why})`);
    console.error(`culvert: apt-get install ${gaps.map((gap) => gap.package).join(' ')}`);
    return optional ? 0 : 1;
  }
  return build({ sanitize: args.includes('--sanitize') });
}

process.exit(main(process.argv.slice(2)));
