import assert from 'node:assert/strict';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { CaptureCounts } from '../../../src/ztunnel/pods/capture-counts.ts';
import { FakeCapture } from '../../support/fake-capture.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('what capture has counted', () => {
  let capture: FakeCapture;
  let clock: FakeClock;
  let counts: CaptureCounts;
  beforeEach(() => {
    capture = new FakeCapture();
    clock = new FakeClock();
    counts = new CaptureCounts({ capture, clock, logger: silentLogger });
  });
  const count = (podId: string, captured: bigint): void =>
    void capture.counted.set(podId, { outbound_captured: captured });

  it('is summed over pods, and stays when a pod goes', () => {
    count('a', 0n);
    count('b', 0n);
    counts.begin('a', 0);
    counts.begin('b', 0);
    count('a', 3n);
    count('b', 4n);
    assert.deepEqual(counts.totals(), { outbound_captured: 7 });

    count('a', 5n);
    counts.end('a');
    capture.counted.delete('a');

    assert.deepEqual(counts.totals(), { outbound_captured: 9 });
    assert.deepEqual(counts.of('a'), {});
  });

  it('leaves out of the totals what an earlier process counted, and shows it for the pod', () => {
    count('a', 1000n);
    counts.begin('a', 0);
    count('a', 1001n);

    assert.deepEqual(counts.totals(), { outbound_captured: 1 });
    assert.deepEqual(counts.of('a'), { outbound_captured: 1001 });
  });

  it('is not counted twice when a pod is attached again', () => {
    counts.begin('a', 0);
    count('a', 5n);
    counts.totals();
    counts.begin('a', 0);

    assert.deepEqual(counts.totals(), { outbound_captured: 5 });
  });

  it('goes on when the maps were made anew', () => {
    count('a', 5n);
    counts.begin('a', 0);
    count('a', 8n);
    counts.totals();
    count('a', 2n);

    assert.deepEqual(counts.totals(), { outbound_captured: 5 });
  });

  it('is what it was while a namespace cannot be looked into', () => {
    counts.begin('a', 2);
    count('a', 5n);
    counts.totals();
    capture.counters = () => {
      throw new Error('gone');
    };

    assert.deepEqual(counts.totals(), { outbound_captured: 5 });
    assert.deepEqual(counts.of('a'), {});
  });
});

describe('connections older than capture', () => {
  let capture: FakeCapture;
  let clock: FakeClock;
  let counts: CaptureCounts;
  beforeEach(() => {
    capture = new FakeCapture();
    clock = new FakeClock();
    counts = new CaptureCounts({ capture, clock, logger: silentLogger });
  });

  it('are not looked for again where there are none', () => {
    counts.begin('a', 0);
    clock.advance(3_600_000);

    assert.equal(counts.kept(), 0);
    assert.deepEqual(capture.walks, []);
  });

  it('are counted anew after some seconds, not at every look', () => {
    capture.kept.set('a', 3);
    counts.begin('a', 4);
    assert.equal(counts.kept('a'), 4);
    clock.advance(5000);

    assert.equal(counts.kept('a'), 3);
    assert.equal(counts.kept(), 3);
    assert.deepEqual(capture.walks, ['a']);
  });

  it('are counted anew at once after they were closed', () => {
    counts.begin('a', 4);
    counts.forgetKept('a');

    assert.equal(counts.kept('a'), 0);
  });

  it('of many pods are counted a few pods at a time, each in its turn', () => {
    for (let pod = 0; pod < 20; pod++) {
      counts.begin(`p${pod}`, 1);
      capture.kept.set(`p${pod}`, 1);
    }
    clock.advance(5000);
    for (let look = 1; look <= 3; look++) {
      assert.equal(counts.kept(), 20);
      assert.equal(capture.walks.length, Math.min(20, look * 8));
    }
    assert.equal(new Set(capture.walks).size, 20);
  });
});
