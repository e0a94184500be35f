// `npm run sbom`: build/sbom.json, a bill of materials in CycloneDX by npm's own `npm sbom`, with what npm does not know:
// the libraries within Node and those of the system that the addon is linked with.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundledNode, installModules, npmCommand, root } from './dependencies.js';
import { lockedPackages } from './licences.js';
import { say } from './progress.js';
import { SetupError } from './run-program.js';

/** Entries of process.versions that are no software but tables and interface numbers, and Node itself. */
const noLibraries = new Set(['node', 'modules', 'napi', 'cldr', 'tz', 'unicode']);
/** By which those who look for holes know them. */
const cpeVendors = {
  node: 'nodejs:node.js',
  openssl: 'openssl:openssl',
  nghttp2: 'nghttp2:nghttp2',
  uv: 'libuv_project:libuv',
  zlib: 'zlib:zlib',
  ares: 'c-ares:c-ares',
  v8: 'google:v8',
  llhttp: 'llhttp:llhttp',
  undici: 'nodejs:undici',
};

/**
 * npm's bill for everything installed, cut down to what is delivered, with the rest added. `npm sbom --omit dev` would
 * cut too much: a package that both need is left out (npm 11.19).
 */
export function mergeBill(bill, lock, { nodeVersions, systemLibraries }) {
  const delivered = new Set(
    lockedPackages(lock)
      .filter(({ development }) => !development)
      .map(({ name, version }) => `${name}@${version}`),
  );
  const fromNpm = bill.components.filter(({ name, version }) => delivered.has(`${name}@${version}`));
  const node = fromNpm.find(({ name }) => name.startsWith('node-linux-'));
  if (node === undefined) throw new SetupError('npm sbom does not list the Node that comes along');
  const self = bill.metadata.component['bom-ref'];
  const within = Object.entries(nodeVersions)
    .filter(([name, version]) => version !== '' && !noLibraries.has(name))
    .map(([name, version]) =>
      library(
        `${node['bom-ref']}/${name}`,
        name,
        version,
        `pkg:generic/${name}@${encodeURIComponent(version)}`,
      ),
    );
  const linked = systemLibraries.map(({ name, version, purl }) => library(purl, name, version, purl));
  const kept = new Set([self, ...fromNpm.map((component) => component['bom-ref'])]);
  const dependencies = bill.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) }));
  const depend = (ref, on) => {
    const entry = dependencies.find((each) => each.ref === ref);
    entry.dependsOn.push(...on.map((component) => component['bom-ref']));
  };
  depend(node['bom-ref'], within);
  depend(self, linked);
  dependencies.push(
    ...[...within, ...linked].map((component) => ({ ref: component['bom-ref'], dependsOn: [] })),
  );
  return {
    ...bill,
    // npm calls the application by the name of its directory.
    metadata: { ...bill.metadata, component: { ...bill.metadata.component, name: lock.name } },
    components: [
      ...fromNpm.map((each) => (each === node ? { ...node, ...cpeOf('node', nodeVersions.node) } : each)),
      ...within,
      ...linked,
    ],
    dependencies,
  };
}

function library(ref, name, version, purl) {
  return { 'bom-ref': ref, type: 'library', name, version, scope: 'required', purl, ...cpeOf(name, version) };
}

function cpeOf(name, version) {
  const vendor = cpeVendors[name];
  return vendor === undefined
    ? {}
    : { cpe: `cpe:2.3:a:${vendor}:${/^[\d.]+\d/.exec(version)?.[0] ?? version}:*:*:*:*:*:*:*` };
}

/** The packages (Debian's) of the libraries that a program is linked with. */
function systemLibrariesOf(program) {
  const paths = [...output('ldd', [program]).matchAll(/=> (\/\S+)/g)].map(([, path]) => path);
  const packages = new Map();
  for (const path of paths) {
    const owner = /^(\S+?)(?::\w+)?: /.exec(
      output('dpkg-query', ['-S', realpathSync(path)], true) || output('dpkg-query', ['-S', path], true),
    )?.[1];
    if (owner === undefined || packages.has(owner)) continue;
    const format = '${Version} ${Architecture}';
    const [version = '', arch = ''] = output('dpkg-query', ['-W', '-f', format, owner])
      .split('\n', 1)[0]
      .split(' ');
    packages.set(owner, {
      name: owner,
      version,
      purl: `pkg:deb/${distribution()}/${owner}@${encodeURIComponent(version)}?arch=${arch}`,
    });
  }
  return [...packages.values()];
}

function distribution() {
  return /^ID=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'debian';
}

function output(file, args, mayFail = false) {
  const { status, stdout, error } = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    cwd: root,
  });
  if (status === 0) return stdout;
  if (mayFail) return '';
  throw new SetupError(
    `${file} ${args[0]} failed${error === undefined ? ` (${status})` : `: ${error.message}`}`,
  );
}

async function main() {
  await installModules();
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const [file, args] = npmCommand(['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application']);
  const bill = JSON.parse(output(file, args));
  const addon = join(root, 'build', 'native', 'Release', 'culvert.node');
  if (!existsSync(addon))
    say('the addon is not built: the libraries that it is linked with are missing from the list');
  const merged = mergeBill(bill, lock, {
    nodeVersions: JSON.parse(output(bundledNode, ['-p', 'JSON.stringify(process.versions)'])),
    systemLibraries: existsSync(addon) ? systemLibrariesOf(addon) : [],
  });
  const path = join(root, 'build', 'sbom.json');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(merged, null, 2)}\n`);
  process.stdout.write(`${path}: ${merged.components.length} components\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main().catch((error) => {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  });
