import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ShardedMap } from '../../src/mesh/sharded-map.ts';

describe('a sharded map', () => {
  it('behaves as a Map that is copied at each change', () => {
    const change = fc.tuple(
      fc.constantFrom('a', 'b', 'c', 'dd', 'é', ''),
      fc.option(fc.nat(), { nil: undefined }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 4 })), (batches) => {
        let map = ShardedMap.empty<number>();
        const model = new Map<string, number>();
        for (const batch of batches) {
          const before = [...map];
          const next = map.with(batch);
          assert.deepEqual([...map], before);
          map = next;
          for (const [key, value] of batch) {
            if (value === undefined) model.delete(key);
            else model.set(key, value);
          }
        }
        assert.equal(map.size, model.size);
        assert.deepEqual(new Map(map), model);
        for (const key of ['a', 'b', 'c', 'dd', 'é', 'x']) assert.equal(map.get(key), model.get(key));
      }),
    );
  });
});
