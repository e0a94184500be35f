import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { formatProblem } from '../../../src/controller/problem.ts';
import { DirectorySource } from '../../../src/controller/sources/directory/directory-source.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';

const deadlineMs = 10_000;

function service(...names: readonly string[]): string {
  return names
    .map((name) => `---\napiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: {}\n`)
    .join('');
}

describe('a directory of manifests', () => {
  let root: string;
  let source: DirectorySource | undefined;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'culvert-manifests-'));
  });

  afterEach(async () => {
    source?.close();
    source = undefined;
    await rm(root, { recursive: true, force: true });
  });

  async function write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }

  /** Polling is set so far away that only notifications can bring a change in time. */
  async function openSource(pollMs = 600_000, removalMs = 60): Promise<DirectorySource> {
    source = await DirectorySource.open({
      directory: root,
      clock: systemClock,
      logger: silentLogger,
      quietMs: 10,
      removalMs,
      pollMs,
    });
    return source;
  }

  function names(): readonly string[] {
    assert.ok(source);
    return [...source.objects().Service.values()].map(({ metadata }) => metadata.name).sort();
  }

  function problems(): string {
    assert.ok(source);
    return source.problems().map(formatProblem).join('\n');
  }

  /** Waits for the source's own events until this holds. */
  async function until(what: string, holds: () => boolean): Promise<void> {
    assert.ok(source);
    const watched = source;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        end();
        reject(new Error(`${what}: not within ${deadlineMs} ms; services ${names().join()}; ${problems()}`));
      }, deadlineMs);
      const end = watched.subscribe(() => {
        if (holds()) done();
      });
      const done = (): void => {
        clearTimeout(timer);
        end();
        resolve();
      };
      if (holds()) done();
    });
  }

  it('is read as a tree, hidden files apart', async () => {
    await write('a.yaml', service('a'));
    await write('deep/er/b.yml', service('b'));
    await write(
      'c.json',
      '{ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "c" }, "spec": {} }',
    );
    await write('.a.yaml.swp', service('no'));
    await write('.git/d.yaml', service('no'));
    await write('README.md', 'no');

    await openSource();

    assert.deepEqual(names(), ['a', 'b', 'c']);
    assert.equal(source?.ready, true);
  });

  it('that does not exist is an error at once', async () => {
    await assert.rejects(
      DirectorySource.open({ directory: join(root, 'none'), clock: systemClock, logger: silentLogger }),
      { code: 'ERR_CULVERT_CONTROLLER_SOURCE' },
    );
  });

  it('follows files that are changed, added and removed, and new directories', async () => {
    await write('a.yaml', service('a'));
    await openSource();

    await write('a.yaml', service('a', 'b'));
    await until('changed', () => names().join() === 'a,b');
    await write('new/c.yaml', service('c'));
    await until('added', () => names().join() === 'a,b,c');
    await write('new/c.yaml', service('d'));
    await until('changed in the new directory', () => names().join() === 'a,b,d');
    await rm(join(root, 'a.yaml'));
    await until('removed', () => names().join() === 'd');
    await rm(join(root, 'new'), { recursive: true });
    await until('directory removed', () => names().join() === '');
  });

  it('survives the way editors save: rename the old one away, write a new one', async () => {
    await write('a.yaml', service('a'));
    await openSource();
    const seen = new Set<string>();
    source?.subscribe(() => seen.add(names().join()));

    await rename(join(root, 'a.yaml'), join(root, 'a.yaml~'));
    await write('a.yaml', service('b'));
    await until('saved', () => names().join() === 'b');
    await write('a.yaml.tmp', service('c'));
    await rename(join(root, 'a.yaml.tmp'), join(root, 'a.yaml'));
    await until('saved by rename', () => names().join() === 'c');

    assert.deepEqual([...seen], ['b', 'c']);
  });

  it('keeps what a file held for a moment after it is gone: an editor may be about to bring it back', async () => {
    await write('a.yaml', service('a'));
    await openSource(600_000, 600_000);

    await rename(join(root, 'a.yaml'), join(root, 'a.yaml~'));
    await write('b.yaml', service('b'));
    await until('the other file', () => names().includes('b'));
    assert.deepEqual(names(), ['a', 'b']);
    await write('a.yaml', service('c'));

    await until('back', () => names().join() === 'b,c');
  });

  it('applies a file as a whole: nobody sees one object of it without the other', async () => {
    await write('a.yaml', service('a1', 'b1'));
    await openSource();
    const seen = new Set<string>();
    source?.subscribe(() => seen.add(names().join()));

    for (let i = 2; i <= 6; i += 1) {
      await write('a.yaml', service(`a${i}`, `b${i}`));
      await until(`version ${i}`, () => names().join() === `a${i},b${i}`);
    }

    for (const each of seen) assert.match(each, /^a(\d),b\1$/);
  });

  it('keeps the last good content while a file is half written, and says so', async () => {
    await write('a.yaml', service('a', 'b'));
    await openSource();

    const file = await open(join(root, 'a.yaml'), 'w');
    await file.write(`${service('c')}---\napiVersion: v1\nkind: Serv`);
    await until('noticed', () => problems().includes('stays in force'));
    assert.deepEqual(names(), ['a', 'b']);
    await file.write('ice\nmetadata: { name: d }\nspec: {}\n');
    await file.close();

    await until('completed', () => names().join() === 'c,d');
    assert.equal(problems(), '');
  });

  it('keeps the last good content of a file that is not YAML any more, with line and column', async () => {
    await write('a.yaml', service('a'));
    await write('b.yaml', service('b'));
    await openSource();

    await write('a.yaml', 'kind: [\n');
    await write('b.yaml', service('b', 'b2'));

    await until('the other file', () => names().join() === 'a,b,b2');
    await until('the problem', () => /^a\.yaml:\d+:\d+: error: /m.test(problems()));
    assert.equal(source?.ready, true);
  });

  it('keeps what a file held when it is truncated to nothing', async () => {
    await write('a.yaml', service('a'));
    await openSource();

    await write('a.yaml', '');
    await until('noticed', () => problems().includes('a.yaml: error: is empty'));

    assert.deepEqual(names(), ['a']);
  });

  it('is not ready at start until a file that is not YAML is mended', async () => {
    await write('a.yaml', service('a'));
    await write('b.yaml', 'kind: [\n');
    await openSource();
    assert.equal(source?.ready, false);

    await write('b.yaml', service('b'));
    await until('mended', () => source?.ready === true);

    assert.deepEqual(names(), ['a', 'b']);
  });

  it('is ready although an object cannot be understood; the rest of its file is in force', async () => {
    await write(
      'a.yaml',
      `${service('a')}---\napiVersion: v1\nkind: Service\nmetadata: { name: b }\nspec: { type: X }\n`,
    );

    await openSource();

    assert.equal(source?.ready, true);
    assert.deepEqual(names(), ['a']);
    assert.match(problems(), /^a\.yaml:10:9: error: Service default\/b: spec\.type: "X" is not one of/);
  });

  it('keeps the last good version of an object that becomes wrong', async () => {
    await write('a.yaml', service('a', 'b'));
    await openSource();

    await write(
      'a.yaml',
      service('a', 'b', 'c').replace('name: b }\nspec: {}', 'name: b }\nspec: { type: X }'),
    );

    await until('the rest of the file', () => names().join() === 'a,b,c');
    assert.match(problems(), /Service default\/b: the last good version of this object stays in force/);
  });

  it('holds a policy that becomes wrong as broken, not in its last version', async () => {
    const policy =
      'apiVersion: security.culvert.dev/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: { action: ALLOW }\n';
    await write('p.yaml', policy);
    await openSource();
    assert.equal(source?.objects().AuthorizationPolicy.size, 1);

    await write('p.yaml', policy.replace('ALLOW', 'ALOW'));

    await until('broken', () => source?.objects().broken.length === 1);
    assert.equal(source?.objects().AuthorizationPolicy.size, 0);
  });

  it('leaves an object that two files define with the first, and names both', async () => {
    await write('m.yaml', service('a').replace('spec: {}', 'spec: { clusterIP: 10.0.0.1 }'));
    await openSource();

    await write('b.yaml', service('a', 'b'));
    await until('the other object', () => names().join() === 'a,b');

    assert.equal(source?.objects().Service.get('default/a')?.spec.clusterIP, '10.0.0.1');
    assert.match(problems(), /^b\.yaml:2:1: error: Service default\/a: is defined in m\.yaml:2 as well/);
    await rm(join(root, 'm.yaml'));
    await until(
      'the first is gone',
      () => source?.objects().Service.get('default/a')?.spec.clusterIP === undefined,
    );
    assert.equal(problems(), '');
  });

  it('follows the links of a mounted ConfigMap', async () => {
    await mkdir(join(root, '..v1'));
    await writeFile(join(root, '..v1/a.yaml'), service('a'));
    await symlink('..v1', join(root, '..data'));
    await symlink('..data/a.yaml', join(root, 'a.yaml'));
    await openSource();
    assert.deepEqual(names(), ['a']);

    await mkdir(join(root, '..v2'));
    await writeFile(join(root, '..v2/a.yaml'), service('b'));
    await symlink('..v2', join(root, '..data_tmp'));
    await rename(join(root, '..data_tmp'), join(root, '..data'));

    await until('swapped', () => names().join() === 'b');
  });

  it('keeps what it has while the directory itself is away', async () => {
    await write('a.yaml', service('a'));
    await openSource(50);

    await rename(root, `${root}.away`);
    await until('noticed', () => problems().includes('cannot be listed'));
    assert.deepEqual(names(), ['a']);
    await rename(`${root}.away`, root);

    await until('back', () => problems() === '');
    await write('a.yaml', service('b'));
    await until('followed again', () => names().join() === 'b');
  });

  it('notices nothing where nothing is different', async () => {
    await write('a.yaml', service('a'));
    await openSource();
    const before = source?.objects();

    await write('a.yaml', service('a'));
    await write('b.yaml', service('b'));
    await until('the other file', () => names().join() === 'a,b');

    assert.equal(source?.objects().Service.get('default/a'), before?.Service.get('default/a'));
  });
});
