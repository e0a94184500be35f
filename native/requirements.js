// What the native build needs of the system: how to see that it is there, the Debian package that brings it, and why.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const requirements = [
  tool('clang', 'compiles the eBPF programs'),
  {
    name: 'bpftool',
    packages: bpftoolPackages(),
    why: 'embeds the eBPF programs in the addon',
    found: () => findBpftool() !== undefined,
  },
  tool('cmake', 'drives the native build'),
  tool('make', 'runs the native build'),
  tool('g++', 'compiles the addon'),
  tool('pkg-config', 'finds the libraries'),
  { ...library('libbpf', '1.0'), packages: ['libbpf-dev'], why: 'loads the eBPF programs' },
  {
    ...library('libmnl'),
    packages: ['libmnl-dev'],
    why: 'speaks netlink: rules, routes, interfaces',
  },
  {
    ...library('libnghttp2'),
    packages: ['libnghttp2-dev'],
    why: 'declares the HTTP/2 functions that Node exports',
  },
];

/** What the engine needs to be built without Node, for the sanitizers. */
const aloneRequirements = [
  ...requirements.filter(({ name }) => ['cmake', 'make', 'g++', 'pkg-config', 'libnghttp2'].includes(name)),
  {
    ...library('openssl', '3.0'),
    packages: ['libssl-dev'],
    why: 'is the TLS of the engine when it is tested without Node',
  },
  { ...tool('setarch', 'runs a program where ThreadSanitizer can work'), packages: ['util-linux'] },
];

/** What the fuzz targets need besides. */
const fuzzRequirements = [
  ...requirements.filter(({ name }) => ['clang', 'libmnl'].includes(name)),
  {
    name: 'libFuzzer',
    packages: [`libclang-rt-${clangVersion()}-dev`],
    why: 'fuzzes the engine',
    found: () => fuzzerRuntime() !== undefined,
  },
];

/** The requirements that are not met: the addon's, or with `alone` those of the engine without Node, or of its fuzzing. */
export function missingRequirements({ alone = false, fuzz = false } = {}) {
  const wanted = [...(alone ? aloneRequirements : requirements), ...(fuzz ? fuzzRequirements : [])];
  return wanted.filter((requirement) => !requirement.found());
}

/** Path of a program, or undefined. */
export function onPath(program) {
  return (process.env.PATH ?? '')
    .split(':')
    .concat('/usr/sbin', '/sbin')
    .map((directory) => join(directory, program))
    .find((file) => existsSync(file));
}

/** A bpftool that runs: Ubuntu's /usr/sbin/bpftool is a script that looks for one of the running kernel's version. */
export function findBpftool() {
  const versions = existsSync('/usr/lib/linux-tools') ? readdirSync('/usr/lib/linux-tools') : [];
  const candidates = [
    onPath('bpftool'),
    ...versions.map((version) => `/usr/lib/linux-tools/${version}/bpftool`),
  ];
  return candidates.find(
    (file) => file !== undefined && existsSync(file) && spawnSync(file, ['version']).status === 0,
  );
}

function tool(name, why) {
  return { name, packages: [name], why, found: () => onPath(name) !== undefined };
}

function library(name, atLeast) {
  const wanted = atLeast === undefined ? ['--exists', name] : [`--atleast-version=${atLeast}`, name];
  return {
    name: atLeast === undefined ? name : `${name} >= ${atLeast}`,
    found: () => spawnSync('pkg-config', wanted).status === 0,
  };
}

/** Major version of clang; where there is none yet, that of Debian 12. */
function clangVersion() {
  const { stdout } = spawnSync('clang', ['-dumpversion'], { encoding: 'utf8' });
  return /^\d+/.exec(stdout ?? '')?.[0] ?? '14';
}

/** Path of clang's fuzzer library, which comes in a package of its own. */
function fuzzerRuntime() {
  const { stdout } = spawnSync('clang', ['-print-resource-dir'], { encoding: 'utf8' });
  const directory = join((stdout ?? '').trim() || '/nowhere', 'lib');
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  return [`linux/libclang_rt.fuzzer-${machine}.a`, `${machine}-pc-linux-gnu/libclang_rt.fuzzer.a`]
    .map((name) => join(directory, name))
    .find((file) => existsSync(file));
}

function bpftoolPackages() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const ubuntu = /^ID=ubuntu$/m.test(release);
  const version = Number(/^VERSION_ID="?([\d.]+)/m.exec(release)?.[1] ?? Infinity);
  return ubuntu && version < 24.1 ? ['linux-tools-common', 'linux-tools-generic'] : ['bpftool'];
}
