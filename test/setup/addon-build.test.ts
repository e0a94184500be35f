import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { addonIn, isBuilt, keep, markBuilt, markStale, restore, sourceHash } from '../../native/built.js';
import { unresolvedSymbols } from '../../native/symbols.js';

const root = resolve(import.meta.dirname, '../..');

describe('the addon', () => {
  let directory: string;
  let cache: string | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-build-'));
    cache = process.env['XDG_CACHE_HOME'];
    process.env['XDG_CACHE_HOME'] = join(directory, 'cache');
  });
  afterEach(() => {
    if (cache === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = cache;
    rmSync(directory, { recursive: true });
  });

  function built(content: string): string {
    const out = join(directory, 'out');
    mkdirSync(join(out, 'Release'), { recursive: true });
    writeFileSync(addonIn(out), content);
    writeFileSync(join(out, 'Release', 'culvert-holder'), content);
    return out;
  }

  it('is current only for the sources that it was built from', () => {
    const out = built('addon');
    assert.equal(isBuilt(out, 'h1'), false);

    markBuilt(out, 'h1');
    assert.equal(isBuilt(out, 'h1'), true);
    assert.equal(isBuilt(out, 'h2'), false);

    markStale(out);
    assert.equal(isBuilt(out, 'h1'), false);
  });

  it('that was built once is there for another checkout', () => {
    keep(built('addon of h1'), 'h1');
    const other = join(directory, 'other');

    assert.equal(restore(other, 'h2'), false);
    assert.equal(restore(other, 'h1'), true);

    assert.equal(readFileSync(addonIn(other), 'utf8'), 'addon of h1');
    assert.equal(isBuilt(other, 'h1'), true);
  });

  it('is kept in a handful of versions', () => {
    const out = built('addon');
    for (let i = 0; i < 12; i += 1) keep(out, `h${i}`);

    const kept = Array.from({ length: 12 }, (_, i) => restore(join(directory, `o${i}`), `h${i}`));
    assert.equal(kept.filter(Boolean).length, 8);
  });

  it('has another hash when a source or the description of the build changes', () => {
    const copy = join(directory, 'copy');
    for (const path of ['native/addon/addon.cc', 'CMakeLists.txt', 'package-lock.json'])
      cpSync(join(root, path), join(copy, path));
    const before = sourceHash(copy);

    writeFileSync(join(copy, 'native/addon/addon.cc'), '// changed');
    const changed = sourceHash(copy);
    writeFileSync(join(copy, 'native/addon/new.cc'), '');

    assert.notEqual(changed, before);
    assert.notEqual(sourceHash(copy), changed);
    assert.equal(sourceHash(copy), sourceHash(copy));
  });

  it('that uses what this Node does not export is refused with the name', () => {
    const source = join(directory, 'a.c');
    const library = join(directory, 'a.node');
    writeFileSync(
      source,
      'void napi_create_object(void); void nghttp2_version(void); void *malloc(unsigned long);\n' +
        'void *f(void) { napi_create_object(); nghttp2_version(); return malloc(1); }\n',
    );
    const compiled = spawnSync('cc', ['-shared', '-fPIC', '-fno-builtin', '-o', library, source], {
      encoding: 'utf8',
    });
    assert.equal(compiled.status, 0, compiled.stderr);

    assert.deepEqual(unresolvedSymbols(library, process.execPath), ['nghttp2_version']);
  });
});
