import assert from 'node:assert/strict';
import type { Policy } from '../../src/mesh/policy.ts';
import { Reauthorization } from '../../src/ztunnel/reauthorization.ts';
import { policy } from '../support/mesh-objects.ts';

const first: readonly Policy[] = [policy({ name: 'first' })];
const second: readonly Policy[] = [policy({ name: 'second' })];

describe('re-authorization', () => {
  let asked: { id: number; policies: readonly Policy[] }[];
  let closed: number[][];
  let done: number[];
  let waiting: (() => void)[];
  let work: Reauthorization;

  beforeEach(() => {
    asked = [];
    closed = [];
    done = [];
    waiting = [];
    // Each look at the clock is a millisecond later, so that a slice ends after five looks.
    let nowMs = 0;
    work = new Reauthorization({
      isDenied(id, _podId, policies) {
        asked.push({ id, policies });
        return id % 2 === 0;
      },
      close: (ids) => void closed.push([...ids]),
      done: (count) => void done.push(count),
      now: () => (nowMs += 1),
      defer: (next) => void waiting.push(next),
    });
  });

  const some = (count: number): Set<number> => new Set(Array.from({ length: count }, (_, n) => n + 1));
  const nextSlice = (): void => (waiting.shift() ?? assert.fail('nothing is left'))();

  it('of a few connections is done at once', () => {
    work.add('pod', some(10), first);
    work.run();

    assert.deepEqual(closed, [[2, 4, 6, 8, 10]]);
    assert.deepEqual(done, [5]);
    assert.equal(waiting.length, 0);
  });

  it('of many lets other work pass between slices, asks about each once, and closes what each slice found', () => {
    work.add('pod', some(1000), first);
    work.run();
    assert.ok(asked.length < 500, `${asked.length} were asked about in the first slice`);
    assert.equal(closed.length, 1);
    assert.deepEqual(done, []);

    while (waiting.length > 0) nextSlice();

    assert.ok(closed.length > 2);
    assert.deepEqual(
      asked.map(({ id }) => id),
      [...some(1000)],
    );
    assert.deepEqual(done, [500]);
  });

  it('starts again where policies change meanwhile, and asks only the newest', () => {
    const ids = some(1000);
    work.add('pod', ids, first);
    work.run();
    const before = asked.length;

    work.add('pod', ids, second);
    work.run();
    while (waiting.length > 0) nextSlice();

    const after = asked.slice(before);
    assert.deepEqual(
      after.map(({ id }) => id),
      [...ids],
    );
    assert.ok(after.every(({ policies }) => policies === second));
    assert.equal(work.pending, 0);
  });

  it('never waits for two slices at a time', () => {
    work.add('pod', some(1000), first);
    for (let i = 0; i < 3; i += 1) work.run();

    assert.equal(waiting.length, 1);
  });

  it('passes over connections that end meanwhile', () => {
    const ids = some(1000);
    work.add('pod', ids, first);
    work.run();
    for (const id of ids) if (id > 990) ids.delete(id);

    while (waiting.length > 0) nextSlice();

    assert.equal(asked.at(-1)?.id, 990);
  });

  it('goes on with the next pod', () => {
    work.add('a', some(400), first);
    work.add('b', some(400), second);
    work.run();
    while (waiting.length > 0) nextSlice();

    assert.equal(asked.filter(({ policies }) => policies === second).length, 400);
    assert.deepEqual(done, [400]);
  });

  it('ends when it is closed', () => {
    work.add('pod', some(1000), first);
    work.run();
    const before = asked.length;

    work.close();
    nextSlice();

    assert.equal(asked.length, before);
  });
});
