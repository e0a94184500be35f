// Every attack of the table against one process that serves a well-behaved neighbour the whole time. Each must end with
// its reason and be counted, leave memory as it was, and not be noticed by the neighbour.
//   CULVERT_RECORD=1 npm run test:hostile     also renews test/hostile/figures.json and docs/hardening.md
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireRoot, sanitized } from '../support/mesh.ts';
import type { Attack } from './attack.ts';
import { attacks } from './attacks.ts';
import { recordFigures } from './figures.ts';
import type { Figures } from './figures.ts';
import { hardeningPage } from './page.ts';
import { ArenaProcess } from './processes.ts';

/** A stall beyond this is one that a user notices, on a machine however busy. */
const stallMsMax = sanitized ? 10_000 : 3000;
const megabyte = 2 ** 20;

describe('under attack by', function () {
  this.timeout(sanitized ? 120_000 : 30_000);
  let arena: ArenaProcess;
  const recorded: Figures[] = [];
  const chosen = attacks.filter((attack) => !sanitized || attack.selected === true);

  before(async function () {
    this.timeout(60_000);
    requireRoot(this);
    arena = await ArenaProcess.start();
  });

  after(async () => {
    await arena?.close();
    if (process.env['CULVERT_RECORD'] === '1' && !sanitized) {
      recordFigures(recorded);
      writeFileSync(join(import.meta.dirname, '../../docs/hardening.md'), hardeningPage());
    }
  });

  for (const attack of chosen) it(`${attack.group}: ${attack.name}`, () => survives(attack));

  async function survives(attack: Attack): Promise<void> {
    const { figures, before, after, logLines } = await arena.suffer(attack.name);
    recorded.push(figures);

    if (attack.counter !== undefined) {
      const moved =
        (after.stats.counters[attack.counter] ?? -1) - (before.stats.counters[attack.counter] ?? 0);
      assert.ok(
        moved > 0,
        `${attack.counter} did not move: ${differences(before.stats.counters, after.stats.counters)}`,
      );
    }
    if (attack.reason !== undefined) {
      const ends = (events: Readonly<Record<string, number>>): number =>
        (events[`tunnelDown inbound ${attack.reason}`] ?? 0) +
        (events[`tunnelDown outbound ${attack.reason}`] ?? 0);
      assert.ok(
        ends(after.events) > ends(before.events),
        `no tunnel ended as ${attack.reason}: ${differences(before.events, after.events)}`,
      );
    }
    assert.ok(logLines <= 20, `${logLines} lines in the log`);
    if (attack.counter !== undefined && attack.accessLog !== true)
      assert.ok(logLines >= 1, 'nothing in the log');
    assert.deepEqual(figures.neighbourFailures, []);
    assert.ok(figures.during.worstMs < stallMsMax, `the neighbour waited ${figures.during.worstMs} ms`);
    const { peak, left } = figures.megabytes;
    const most = attack.megabytesMax ?? 48;
    assert.ok(sanitized || peak < most, `${peak} MB during the attack`);
    assert.ok(sanitized || left < 24, `${left} MB left behind`);
    assert.ok(after.stats.bufferedBytes < megabyte, `${after.stats.bufferedBytes} bytes held`);
  }
});

function differences(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): string {
  const changed = Object.entries(after).filter(([name, value]) => value !== (before[name] ?? 0));
  return JSON.stringify(
    Object.fromEntries(changed.map(([name, value]) => [name, value - (before[name] ?? 0)])),
  );
}
