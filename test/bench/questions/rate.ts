import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import { compareSides } from './compare-sides.ts';

const concurrent = 64;

export const question: Question = {
  name: 'rate',
  title: 'How many new connections a second, with warm tunnels?',
  how: `${concurrent} connections under way at any time, each of them connect, 64 bytes there and back, close; 2 s.`,
  contestants: sides,
  measures: [
    {
      key: 'rate',
      name: 'connections',
      unit: '1/s',
      better: 'more',
      charted: true,
      title: 'new connections a second',
    },
    { key: 'p99', name: 'time of one of them, p99', unit: 'us', better: 'less' },
    { key: 'cpu', name: 'CPU of both proxies, each', unit: 'us', better: 'less' },
  ],
  targets: [
    {
      name: "connections a second, of Envoy's",
      measure: 'rate',
      of: 'culvert',
      against: ['envoy'],
      least: 2,
    },
  ],
  rounds: 5,
  start: (context) =>
    compareSides(context, {}, async (world, side) => {
      const seconds = 2 * context.pace;
      const before = await world.cpuSeconds(side);
      const {
        rate = 0,
        p99 = 0,
        errors = 0,
        done = 0,
      } = await world.load(side, 'echo', 'rate', [String(seconds), String(concurrent)]);
      if (errors > 0) throw new Error(`${errors} connections of the ${side} side failed`);
      const used = (await world.cpuSeconds(side)) - before;
      return { rate, p99, ...(side !== 'direct' && { cpu: (used / done) * 1e6 }) };
    }),
};
