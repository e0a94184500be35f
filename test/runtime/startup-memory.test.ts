import assert from 'node:assert/strict';
import { Readiness } from '../../src/runtime/readiness.ts';
import { giveBackOnceReady } from '../../src/runtime/startup-memory.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('memory of the start', () => {
  /** A weakly held object that nobody else holds: gone once garbage has been collected. */
  const garbage = (): WeakRef<object> => new WeakRef({});
  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

  it('is given back a while after the process is ready', async () => {
    const [readiness, clock] = [new Readiness(), new FakeClock()];
    const task = readiness.task('start');
    giveBackOnceReady(readiness, clock);
    const old = garbage();
    await turn();

    clock.advance(10_000);
    assert.ok(old.deref() !== undefined, 'not before it is ready');
    task.done();
    await turn();
    clock.advance(10_000);

    await turn();
    assert.equal(old.deref(), undefined);
  });

  it('is left alone by a process that ends first', async () => {
    const [readiness, clock] = [new Readiness(), new FakeClock()];
    const off = giveBackOnceReady(readiness, clock);
    await turn();
    off();

    assert.equal(clock.pending, 0);
  });
});
