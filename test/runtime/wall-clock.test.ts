import assert from 'node:assert/strict';
import { Drain } from '../../src/runtime/drain.ts';
import { RateLimitedLog } from '../../src/runtime/logger.ts';
import { WallClockWatch } from '../../src/runtime/wall-clock.ts';
import { FakeClock } from '../support/fake-clock.ts';

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;

describe('a watch of the wall clock', () => {
  let clock: FakeClock;
  let watch: WallClockWatch;
  const moves: number[] = [];
  beforeEach(() => {
    clock = new FakeClock();
    moves.length = 0;
    watch = new WallClockWatch({ clock, moved: (byMs) => void moves.push(byMs) });
  });
  afterEach(() => watch.close());

  it('says nothing while time just passes', () => {
    clock.advance(24 * hourMs);

    assert.deepEqual(moves, []);
  });

  for (const byMs of [2 * hourMs, -2 * hourMs, 10 * yearMs, -10 * yearMs, 1000])
    it(`tells once of a jump by ${byMs / 1000} s`, () => {
      clock.jump(byMs);
      clock.advance(60_000);

      assert.deepEqual(moves, [byMs]);
    });

  it('adds up what NTP does by and by', () => {
    for (let step = 0; step < 25; step += 1) {
      clock.jump(100);
      clock.advance(5000);
    }

    assert.deepEqual(moves, [1000, 1000]);
  });

  it('is silent once it is closed', () => {
    watch.close();
    clock.jump(hourMs);
    clock.advance(hourMs);

    assert.deepEqual([moves, clock.pending], [[], 0]);
  });
});

describe('when the wall clock is set back by years', () => {
  it('a rate-limited log speaks again after its interval', () => {
    const clock = new FakeClock();
    const log = new RateLimitedLog({ clock, intervalMs: 1000 });
    let said = 0;
    const say = (): void => log.try('peer', () => void (said += 1));
    say();

    clock.jump(-10 * yearMs);
    clock.advance(1000);
    say();

    assert.equal(said, 2);
  });

  it('a drain ends when it was to end', () => {
    const clock = new FakeClock();
    const drain = new Drain(clock);
    drain.hold('streams');
    drain.start(30_000);

    clock.jump(-10 * yearMs);
    assert.equal(drain.leftMs, 30_000);
    clock.advance(30_000);

    assert.equal(drain.expired.aborted, true);
  });
});
