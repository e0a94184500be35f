import assert from 'node:assert/strict';
import { Backoff } from '../../src/runtime/backoff.ts';

describe('a back-off', () => {
  it('doubles up to its bound and starts anew after a success', () => {
    const backoff = new Backoff({ minMs: 10, maxMs: 45, random: () => 1 });

    assert.deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next()], [10, 20, 40, 45]);
    backoff.reset();
    assert.equal(backoff.next(), 10);
  });

  it('never waits less than half of its bound', () => {
    const backoff = new Backoff({ minMs: 10, maxMs: 40, random: () => 0 });

    assert.deepEqual([backoff.next(), backoff.next()], [5, 10]);
  });
});
