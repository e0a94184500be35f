import type { Measure, Target } from '../statistics.ts';
import type { Question } from '../question.ts';
import { World } from '../world/world.ts';

/** Of a core, for each engine thread: as if the node had many slow cores, none of which is short of others. */
const share = 0.15;
/** Between two streams that join: a proxy that opens further tunnels by load has to see it first. */
const joinMs = 100;
const threadCounts = [1, 2, 4];
const streamCounts = [1, 4, 16];

const name = (threads: number): string => `${threads} thread${threads === 1 ? '' : 's'}`;

export const question: Question = {
  name: 'threads',
  title: 'Does one pair of pods on a node with spare cores grow with its streams?',
  how:
    `Each engine thread is held to ${share * 100} % of a core by the kernel's bandwidth controller, so that the cores are ` +
    'never what is short: what one thread carries is the ceiling of one thread. Streams join one after ' +
    `the other, ${joinMs} ms apart; 1.5 s for each number of them.`,
  contestants: threadCounts.map(name),
  measures: streamCounts.map((streams): Measure => ({
    key: `gbps${streams}`,
    name: `throughput, ${streams} stream${streams === 1 ? '' : 's'}`,
    unit: 'Gbit/s',
    better: 'more',
    charted: true,
    title: `capped threads: throughput, ${streams} stream${streams === 1 ? '' : 's'}`,
  })),
  targets: [
    { ...grown(2), least: 1.5 },
    { ...grown(4), least: 2 },
    {
      name: '4 threads, 16 streams of 1 stream',
      measure: 'gbps16',
      of: name(4),
      against: [name(4)],
      againstMeasure: 'gbps1',
      least: 2,
    },
  ],
  rounds: 3,
  async start({ tools, pace, progress }) {
    const { groups } = tools;
    if (groups === undefined) return { skipped: 'no CPU controller of control groups is to be had' };
    const worlds = new Map<string, World>();
    const close = async (): Promise<void> => {
      await Promise.all([...worlds.values()].map((world) => world.close()));
    };
    try {
      for (const threads of threadCounts) {
        const ztunnelFlags = { threads: String(threads) };
        const world = await World.start({ tools, progress, sides: ['culvert'], ztunnelFlags });
        worlds.set(name(threads), world);
        for (const pid of await world.pids('culvert')) await groups.capThreads(pid, 'culvert-engine', share);
      }
    } catch (error) {
      await close();
      throw error;
    }
    return {
      measure: async (contestant) => {
        const values: Record<string, number> = {};
        for (const streams of streamCounts) {
          const args = [String(1.5 * pace), String(streams), String(joinMs)];
          const result = await worlds.get(contestant)?.load('culvert', 'sink', 'throughput', args);
          values[`gbps${streams}`] = result?.['gbps'] ?? 0;
        }
        return values;
      },
      close,
    };
  },
};

function grown(threads: number): Omit<Target, 'least'> {
  return {
    name: `16 streams, ${name(threads)} of ${name(1)}`,
    measure: 'gbps16',
    of: name(threads),
    against: [name(1)],
  };
}
