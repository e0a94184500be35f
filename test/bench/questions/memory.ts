import { setTimeout as delay } from 'node:timers/promises';
import type { Context, Question } from '../question.ts';
import type { Side } from '../world/manifest.ts';
import { World } from '../world/world.ts';

/** Between these counts the growth is taken: buffers and code that the first connections bring are left out. */
const few = 1000;
const many = 6000;

const streams = 100;

/** What one of 100 busy streams may hold in both proxies: below its window of 256 KiB, of which most is never filled. */
const streamKbMost = 256;

export const question: Question = {
  name: 'memory',
  title: 'How much memory does a proxy hold?',
  how:
    `Each side anew in a world of its own. Idle: four seconds after it was ready. An idle connection: the growth from ${few} ` +
    `to ${many} of them, the larger of both ends, without the kernel's part. An active stream: the growth of the peak over ` +
    `what was held before, with ${streams} streams that send as fast as they can, the larger of both ends.`,
  contestants: ['culvert', 'envoy', 'haproxy'],
  measures: [
    {
      key: 'idle',
      name: 'resident, idle',
      unit: 'MB',
      better: 'less',
      charted: true,
      title: 'memory of an idle proxy',
    },
    { key: 'private', name: 'of it private', unit: 'MB', better: 'less' },
    {
      key: 'connection',
      name: 'an idle connection',
      unit: 'KB',
      better: 'less',
      charted: true,
      title: 'memory of an idle connection',
    },
    { key: 'stream', name: 'an active stream', unit: 'KB', better: 'less' },
  ],
  targets: [
    { name: 'idle ztunnel, MB', measure: 'idle', of: 'culvert', most: 90 },
    { name: 'an idle connection, KB', measure: 'connection', of: 'culvert', most: 6 },
    { name: 'an active stream, KB', measure: 'stream', of: 'culvert', most: streamKbMost },
  ],
  rounds: 3,
  start: (context) =>
    Promise.resolve({
      measure: (contestant) => measure(contestant as Side, context),
      close: () => Promise.resolve(),
    }),
};

async function measure(side: Side, context: Context): Promise<Readonly<Record<string, number>>> {
  const { tools, pace } = context;
  const world = await World.start({ tools, progress: () => undefined, sides: [side] });
  try {
    await delay(4000 * pace);
    const idle = await world.memory(side);
    const before = await settled(world, side);
    await world.resetPeaks(side);
    await world.load(side, 'sink', 'throughput', [String(2 * pace), String(streams)]);
    const peaks = await world.memory(side);
    const first = await world.hold(side, few);
    const withFew = await settled(world, side);
    const second = await world.hold(side, many - few);
    const withMany = await settled(world, side);
    await Promise.all([first.close(), second.close()]);
    const growth = (from: readonly number[], to: readonly number[], by: number): number =>
      Math.max(...to.map((bytes, end) => (bytes - (from[end] ?? 0)) / by / 1e3));
    return {
      idle: Math.max(...idle.map(({ residentBytes }) => residentBytes)) / 1e6,
      private: Math.max(...idle.map(({ anonymousBytes }) => anonymousBytes)) / 1e6,
      connection: growth(withFew, withMany, many - few),
      stream: growth(
        before,
        peaks.map(({ peakBytes }) => peakBytes),
        streams,
      ),
    };
  } finally {
    await world.close();
  }
}

/** Resident bytes of both ends, the least of a second: what was only needed to open connections may be given back. */
async function settled(world: World, side: Side): Promise<readonly number[]> {
  const look = async (): Promise<readonly number[]> =>
    (await world.memory(side)).map(({ residentBytes }) => residentBytes);
  let least = await look();
  for (let times = 0; times < 10; times += 1) {
    await delay(100);
    const now = await look();
    least = least.map((bytes, end) => Math.min(bytes, now[end] ?? bytes));
  }
  return least;
}
