import type { Question } from '../question.ts';
import { crowdPod } from '../world/manifest.ts';
import type { Hold } from '../world/world.ts';
import { World } from '../world/world.ts';

const active = 500;
/** Each active connection sends 64 bytes this often: 2000 round trips a second of all of them. */
const everyMs = 250;
const idleWanted = 20_000;
/** Pods that hold the idle ones, each less than the tunnels that its peer allows it. */
const holders = 4;
/** Files of a proxy for everything but idle connections. */
const filesSpared = 1500;
const seconds = 3;

const [alone, again, crowded] = ['alone', 'alone again', 'in a crowd'] as const;

export const question: Question = {
  name: 'crowd',
  title: 'Do 20,000 idle connections disturb 500 active ones?',
  how:
    `${active} connections of one pair of pods send 64 bytes every ${everyMs} ms each, ${seconds} s; the time of each round ` +
    'trip counts from when it was due. Alone, alone once more (the difference is the noise), and with the idle ones of ' +
    `${holders} other pods in the same ztunnels. Where a process may have fewer files than that, the idle ` +
    'ones are as many as fit.',
  contestants: [alone, crowded, again],
  measures: [
    { key: 'p50', name: '64 B round trip, p50', unit: 'us', better: 'less' },
    {
      key: 'p99',
      name: '64 B round trip, p99',
      unit: 'us',
      better: 'less',
      charted: true,
      title: '500 active connections: round trip, p99',
    },
    { key: 'idle', name: 'idle connections', unit: '', better: 'more' },
    { key: 'connection', name: 'an idle one, resident', unit: 'KB', better: 'less' },
  ],
  targets: [
    {
      name: '500 active p99, in a crowd of alone',
      measure: 'p99',
      of: crowded,
      against: [alone],
      noise: again,
    },
    { name: 'an idle one of the crowd, KB', measure: 'connection', of: crowded, most: 6 },
  ],
  rounds: 7,
  async start({ tools, pace, progress }) {
    const idle = Math.min(Math.round(idleWanted * pace), tools.filesMax - filesSpared);
    const quiet = await World.start({ tools, progress, sides: ['culvert'] });
    let full: World | undefined;
    const holds: Hold[] = [];
    const close = async (): Promise<void> => {
      await Promise.all(holds.map((hold) => hold.close()));
      await full?.close();
      await quiet.close();
    };
    const resident = async (world: World): Promise<readonly number[]> =>
      (await world.memory('culvert')).map(({ residentBytes }) => residentBytes);
    try {
      full = await World.start({ tools, progress, sides: ['culvert'], extras: { crowd: holders } });
      const before = await resident(full);
      for (let index = 0; index < holders; index += 1)
        holds.push(await full.hold('culvert', Math.ceil(idle / holders), crowdPod(index)));
      progress(`${idle} idle connections are open`);
      const grown = (await resident(full)).map((bytes, end) => (bytes - (before[end] ?? 0)) / idle / 1e3);
      const [besides, connection] = [full, Math.max(...grown)];
      return {
        measure: async (contestant) => {
          const world = contestant === crowded ? besides : quiet;
          const args = [String(seconds * pace), String(active), String(everyMs)];
          const { p50 = 0, p99 = 0, lost = 0 } = await world.load('culvert', 'echo', 'active', args);
          if (lost > 0) throw new Error(`${lost} round trips were not answered`);
          return { p50, p99, ...(contestant === crowded && { idle, connection }) };
        },
        close,
      };
    } catch (error) {
      await close();
      throw error;
    }
  },
};
