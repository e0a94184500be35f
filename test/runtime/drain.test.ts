import assert from 'node:assert/strict';
import { Drain } from '../../src/runtime/drain.ts';
import { FakeClock } from '../support/fake-clock.ts';

async function isDone(drain: Drain): Promise<boolean> {
  return Promise.race([drain.done.then(() => true), new Promise<false>((r) => setImmediate(() => r(false)))]);
}

describe('a drain', () => {
  it('is done at once if nobody holds it', async () => {
    const drain = new Drain(new FakeClock());
    assert.equal(await isDone(drain), false);

    drain.start(1000);

    assert.equal(drain.signal.aborted, true);
    assert.equal(await isDone(drain), true);
    assert.equal(drain.expired.aborted, false);
  });

  it('waits for those who hold it, and knows their names', async () => {
    const drain = new Drain(new FakeClock());
    const release = drain.hold('streams');
    drain.start(1000);

    assert.equal(await isDone(drain), false);
    assert.deepEqual(drain.holding, ['streams']);
    release();
    release();

    assert.equal(await isDone(drain), true);
  });

  it('expires at its deadline, whoever holds it', async () => {
    const clock = new FakeClock();
    const drain = new Drain(clock);
    drain.hold('a stream that never ends');
    drain.start(1000);

    clock.advance(999);
    assert.equal(drain.leftMs, 1);
    assert.equal(drain.expired.aborted, false);
    clock.advance(1);

    assert.equal(drain.expired.aborted, true);
    assert.equal(await isDone(drain), true);
  });

  it('can only be brought forward', () => {
    const clock = new FakeClock();
    const drain = new Drain(clock);
    drain.hold('streams');
    drain.start(1000);

    drain.start(5000);
    assert.equal(drain.leftMs, 1000);
    drain.start(10);
    assert.equal(drain.leftMs, 10);
    clock.advance(10);

    assert.equal(drain.expired.aborted, true);
  });

  it('leaves no timer behind once it is done', () => {
    const clock = new FakeClock();
    const drain = new Drain(clock);
    const release = drain.hold('streams');
    drain.start(1000);

    release();

    assert.equal(clock.pending, 0);
  });
});
