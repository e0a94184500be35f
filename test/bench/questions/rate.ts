import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import { compareSides } from './compare-sides.ts';

const concurrent = 64;

export const question: Question = {
  name: 'rate',
  title: 'How many new connections a second, with warm tunnels?',
  how:
    `${concurrent} connections under way at any time, each of them connect, 64 bytes there and back, close; 2 s. ` +
    "Load, servers and proxies share the cores: a direct connection's rate is the ceiling of everybody's. " +
    "JavaScript is one thread of each ztunnel, measured is the client's: at 100 % it is the ceiling.",
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
    { key: 'script', name: 'busy JavaScript of a ztunnel', unit: '%', better: 'less' },
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
      const args = [String(2 * context.pace), String(concurrent)];
      const [before, script, from] = [await world.cpuSeconds(side), await world.scriptSeconds(), Date.now()];
      const { rate = 0, p99 = 0, errors = 0, done = 0 } = await world.load(side, 'echo', 'rate', args);
      if (errors > 0) throw new Error(`${errors} connections of the ${side} side failed`);
      if (side === 'direct') return { rate, p99 };
      const cpu = (((await world.cpuSeconds(side)) - before) / done) * 1e6;
      if (side !== 'culvert') return { rate, p99, cpu };
      const busy = ((await world.scriptSeconds()) - script) / ((Date.now() - from) / 1000);
      return { rate, p99, cpu, script: busy * 100 };
    }),
};
