// The rules of the house that a machine can check: layout, sizes, who may import whom, and what must not be left behind.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { settingsPage } from '../src/cli/settings-page.ts';
import { attacks } from './hostile/attacks.ts';
import { recordedFigures } from './hostile/figures.ts';
import { hardeningPage } from './hostile/page.ts';
import { findCycle, forbiddenImport, importsOf, packageOf } from './support/imports.ts';

const root = resolve(import.meta.dirname, '..');
const linesMax = 400;

const topLevel = new Set([
  '.ci',
  '.dockerignore',
  '.git',
  '.github',
  '.gitignore',
  '.mocharc.json',
  '.prettierignore',
  '.prettierrc.json',
  'CMakeLists.txt',
  'CONTRIBUTING.md',
  'Dockerfile',
  'LICENSE',
  'README.md',
  'bench',
  'bin',
  'binding.gyp',
  'buf.gen.yaml',
  'buf.yaml',
  'build',
  'charts',
  'coverage',
  'dist',
  'docs',
  'eslint.config.js',
  'native',
  'node_modules',
  'package-lock.json',
  'package.json',
  'setup',
  'src',
  'test',
  'tsconfig.build.json',
  'tsconfig.json',
]);

/** Packages with one owner: whoever else wants what they do asks the owner. */
const owners: Readonly<Record<string, RegExp>> = {
  'node-forge': /^src\/identity\//,
  '@grpc/grpc-js': /^src\/xds\//,
  'prom-client': /^src\/runtime\/metrics\.ts$/,
  '@kubernetes/client-node': /^src\/kubernetes\//,
};

function filesUnder(directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'generated' ? [] : filesUnder(path);
    return [path];
  });
}

function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const code = ['src', 'test', 'native', 'setup', 'bin'].flatMap(filesUnder);
const sources = code.filter((file) => file.startsWith('src/') && file.endsWith('.ts'));
const tests = code.filter((file) => file.startsWith('test/') && file.endsWith('.ts'));
const handWritten = code.filter((file) => /\.(ts|js|cjs|cc|c|h|py)$/.test(file));
const pages = [...filesUnder('docs'), 'README.md', 'CONTRIBUTING.md'].filter(
  (file) => file.endsWith('.md') && existsSync(join(root, file)),
);

describe('the repository', () => {
  it('holds at its top only what the architecture names', () => {
    const strangers = readdirSync(root).filter((name) => !topLevel.has(name) && !/\.log$/.test(name));
    assert.deepEqual(strangers, []);
  });

  it(`has no file longer than ${linesMax} lines`, () => {
    const long = handWritten
      .map((file) => ({ file, lines: textOf(file).split('\n').length - 1 }))
      .filter(({ lines }) => lines > linesMax);
    assert.deepEqual(long, []);
  });

  it('has no folder or file that is named after nothing', () => {
    const vague = handWritten.filter((file) =>
      /(^|\/)(common|utils?|helpers?|misc|lib)(\/|\.[a-z]+$)/.test(file),
    );
    assert.deepEqual(vague, []);
  });

  it('has nothing left to do in its comments', () => {
    const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
    const left = handWritten.filter((file) => marks.test(textOf(file)));
    assert.deepEqual(left, []);
  });

  it('has documentation whose links lead somewhere', () => {
    const broken = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target]) => (target ?? '').replace(/#.*$/, ''))
        .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(join(root, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    assert.deepEqual(broken, []);
  });

  it('documents every setting as it is', () => {
    assert.equal(
      existsSync(join(root, 'docs/settings.md')) ? textOf('docs/settings.md') : '',
      settingsPage(),
      'docs/settings.md is not current: run `node src/cli/settings-page.ts`',
    );
  });
});

describe('the page on hardening', () => {
  it('has every attack of the suite, with the figures of the last recorded run', () => {
    const recorded = recordedFigures().map(({ name }) => name);
    assert.deepEqual(recorded.toSorted(), attacks.map(({ name }) => name).toSorted());
    assert.equal(
      textOf('docs/hardening.md'),
      hardeningPage(),
      'docs/hardening.md is not current: run `CULVERT_RECORD=1 npm run test:hostile`, or `node test/hostile/page.ts`',
    );
  });
});

describe('imports', () => {
  it('go downwards only', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file, textOf(file))
        .map((target) => forbiddenImport(file, target))
        .filter((reason) => reason !== undefined),
    );
    assert.deepEqual(wrong, []);
  });

  it('never run in a circle', () => {
    const graph = new Map(
      sources.map((file) => [
        file,
        importsOf(file, textOf(file), { types: false }).filter((t) => t.startsWith('src/')),
      ]),
    );
    assert.deepEqual(findCycle(graph), []);
  });

  it('of a package with an owner are the owner’s', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file, textOf(file))
        .filter((target) => owners[packageOf(target)]?.test(file) === false)
        .map((target) => `${file}: ${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('of the native addon are the engine’s', () => {
    const loading = sources.filter((file) => /culvert\.node['"`]|process\.dlopen/.test(textOf(file)));
    assert.deepEqual(
      loading.filter((file) => !file.startsWith('src/engine/')),
      [],
    );
  });
});

describe('error codes', () => {
  it('are declared by one component each', () => {
    const declared = new Map<string, Set<string>>();
    for (const file of sources.filter((name) => /(^|\/)errors\.ts$/.test(name)))
      for (const [, found] of textOf(file).matchAll(/'(ERR_CULVERT_[A-Z0-9_]+)'/g)) {
        const places = declared.get(found ?? '') ?? new Set();
        declared.set(found ?? '', places.add(dirname(file)));
      }
    const shared = [...declared].filter(([, places]) => places.size > 1).map(([name]) => name);
    assert.deepEqual(shared, []);
    assert.notEqual(declared.size, 0);
  });

  it('are all declared in an errors.ts', () => {
    const declared = sources
      .filter((file) => /(^|\/)errors\.ts$/.test(file))
      .map(textOf)
      .join('\n');
    const undeclared = sources.flatMap((file) =>
      [...textOf(file).matchAll(/'(ERR_CULVERT_[A-Z0-9_]*[A-Z0-9])'/g)]
        .filter(([quoted]) => !declared.includes(quoted))
        .map(([, name]) => `${file}: ${name}`),
    );
    assert.deepEqual(undeclared, []);
  });
});

describe('tests', () => {
  const own = relative(root, import.meta.filename);
  const others = tests.filter((file) => file !== own);

  it('all run', () => {
    const partial = others.filter((file) =>
      /\b(it|describe)\.only\(|\bdescribe\.skip\(|\bx(it|describe)\(/.test(textOf(file)),
    );
    assert.deepEqual(partial, []);
  });

  // A bench may: it measures what happens in a time.
  it('never sleep', () => {
    const asleep = others.filter(
      (file) =>
        !file.startsWith('test/bench/') &&
        /setTimeout\(\s*(resolve|r|done)\b[^)]*,\s*\d{3,}|(?:sleep|delay|wait)\(\s*\d{3,}\s*\)/.test(
          textOf(file),
        ),
    );
    assert.deepEqual(asleep, []);
  });

  it('outside of namespaces of their own never take a fixed port', () => {
    const fixed = others
      .filter((file) => !/^test\/(netns|playground|bench|support)\//.test(file))
      .filter((file) => /\.listen\(\s*[1-9]\d*\b|listen\(\{[^}]*port: [1-9]\d*/.test(textOf(file)));
    assert.deepEqual(fixed, []);
  });
});
