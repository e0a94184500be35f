import assert from 'node:assert/strict';
import { findCycle, forbiddenImport, importsOf, packageOf } from '../support/imports.ts';

describe('the reader of import lines', () => {
  const text = `
import type { A } from '../mesh/a.ts';
import {
  b,
} from './b.ts';
export { c } from '../runtime/c.ts';
import 'node-forge';
const d = await import('@grpc/grpc-js');
`;

  it('finds every kind of import', () => {
    assert.deepEqual(importsOf('src/xds/x.ts', text), [
      'src/mesh/a.ts',
      'src/xds/b.ts',
      'src/runtime/c.ts',
      'node-forge',
      '@grpc/grpc-js',
    ]);
  });

  it('leaves out what is gone or not there yet at run time, for circles', () => {
    assert.deepEqual(importsOf('src/xds/x.ts', text, { types: false }), [
      'src/xds/b.ts',
      'src/runtime/c.ts',
      'node-forge',
    ]);
  });

  it('knows packages', () => {
    assert.equal(packageOf('@grpc/grpc-js/build/src'), '@grpc/grpc-js');
    assert.equal(packageOf('yaml/util'), 'yaml');
  });

  for (const [from, to, allowed] of [
    ['src/xds/a.ts', 'src/mesh/b.ts', true],
    ['src/ztunnel/a.ts', 'src/engine/b.ts', true],
    ['src/cli/a.ts', 'src/playground/b.ts', true],
    ['src/mesh/a.ts', 'src/xds/b.ts', false],
    ['src/xds/a.ts', 'src/identity/b.ts', false],
    ['src/ztunnel/a.ts', 'src/controller/b.ts', false],
    ['src/ztunnel/a.ts', 'test/support/b.ts', false],
    ['src/new/a.ts', 'src/mesh/b.ts', false],
  ] as const)
    it(`${allowed ? 'lets' : 'does not let'} ${from} import ${to}`, () => {
      assert.equal(forbiddenImport(from, to) === undefined, allowed);
    });

  it('finds a circle', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', []],
      ['d', ['b']],
    ]);
    assert.deepEqual(findCycle(graph), ['b', 'd', 'b']);
    assert.deepEqual(
      findCycle(
        new Map([
          ['a', ['b', 'c']],
          ['b', ['c']],
          ['c', []],
        ]),
      ),
      [],
    );
  });
});
