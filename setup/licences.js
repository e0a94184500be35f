// docs/licences.md: what Culvert is delivered with, and under which licences. Written by `node setup/licences.js`; a
// test fails when it is not current, or when a package has a licence that is not on the list.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './dependencies.js';

/** Licences (SPDX) that ask for a notice and no more. */
const permissive = [
  ...['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'CC0-1.0', 'ISC', 'MIT'],
  ...['PSF-2.0', 'Python-2.0', 'Unlicense', 'Zlib'],
];

/** What is not from npm. The libraries of the system can be replaced, which is what the LGPL asks for: they are linked
 *  dynamically, and the holder's source is here to link it anew; Node brings the texts of everything within it in its LICENSE. */
const others = [
  [
    'OpenSSL, nghttp2, V8, libuv, ... within Node',
    'with `node-linux-*`',
    'Apache-2.0, MIT, BSD-3-Clause, ...',
  ],
  ['libbpf', 'linked dynamically', 'LGPL-2.1-only OR BSD-2-Clause'],
  ['libelf (for libbpf)', 'linked dynamically', 'GPL-2.0-or-later OR LGPL-3.0-or-later'],
  ['libmnl', 'linked dynamically', 'LGPL-2.1-or-later'],
  ['zlib (for libelf)', 'linked dynamically', 'Zlib'],
  ['libstdc++, libgcc', 'linked dynamically', 'GPL-3.0-or-later WITH GCC-exception-3.1'],
  ['glibc', 'linked dynamically; into the holder statically', 'LGPL-2.1-or-later'],
  ['the eBPF programs in `native/ebpf`', 'part of Culvert, loaded into the kernel', 'Apache-2.0 OR GPL-2.0'],
];

/** True if an SPDX expression of names, AND, OR and brackets can be met by permissive licences alone. */
export function isPermissive(expression) {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const term = () => {
    const token = tokens[at++];
    if (token !== '(') return permissive.includes(token);
    const inner = any();
    return tokens[at++] === ')' && inner;
  };
  // AND binds closer than OR.
  const all = () => {
    let met = term();
    while (tokens[at] === 'AND') {
      at += 1;
      met = term() && met;
    }
    return met;
  };
  const any = () => {
    let met = all();
    while (tokens[at] === 'OR') {
      at += 1;
      met = all() || met;
    }
    return met;
  };
  return any() && at === tokens.length;
}

/** The packages of a lock with name, version, licence and whether they are for development alone. */
export function lockedPackages(lock) {
  return Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .map(([path, { version, license, dev }]) => ({
      path,
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license ?? '',
      development: dev === true,
    }));
}

/** The page for a package-lock.json. */
export function licencesPage(lock) {
  const rows = lockedPackages(lock)
    .filter(({ development }) => !development)
    .map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`);
  const unique = [...new Set(rows)].sort();
  return [
    '# Licences',
    '',
    '<!-- Written by `node setup/licences.js`: do not edit. -->',
    '',
    'Culvert itself is under the [Apache License 2.0](../LICENSE). This is what it is delivered with. A licence that asks',
    'for more than a notice fails the tests. How all of it is pinned: [supply-chain.md](supply-chain.md).',
    '',
    '## From npm',
    '',
    '| package | version | licence |',
    '| --- | --- | --- |',
    ...unique,
    '',
    '## Not from npm',
    '',
    '| what | how | licence |',
    '| --- | --- | --- |',
    ...others.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  writeFileSync(join(root, 'docs', 'licences.md'), licencesPage(lock));
}
