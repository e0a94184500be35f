import type { Measure, Target } from '../statistics.ts';
import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import { compareSides } from './compare-sides.ts';

/** Streams, and what is wanted of each: throughput at least, CPU at most, as ratios to Envoy's. */
const wanted = [
  { streams: 1, least: 1.3 },
  { streams: 4, least: 1.15 },
  { streams: 16, least: 1.15 },
];
const cpuMost = 0.7;

export const question: Question = {
  name: 'throughput',
  title: 'How many bits a second, over 1, 4 and 16 connections, and what CPU do both proxies pay per GB?',
  how: 'One pair of pods; each connection sends as fast as it can for 1.5 s, what counts is what arrived.',
  contestants: sides,
  measures: wanted.flatMap(({ streams }): readonly Measure[] => [
    {
      key: `gbps${streams}`,
      name: `throughput, ${plural(streams)}`,
      unit: 'Gbit/s',
      better: 'more',
      charted: true,
    },
    {
      key: `cpu${streams}`,
      name: `CPU of both proxies, ${plural(streams)}`,
      unit: 's/GB',
      better: 'less',
      charted: true,
    },
  ]),
  targets: wanted.flatMap(({ streams, least }): readonly Target[] => [
    {
      name: `throughput, ${plural(streams)}, of Envoy's`,
      measure: `gbps${streams}`,
      of: 'culvert',
      against: ['envoy'],
      least,
    },
    {
      name: `CPU per GB, ${plural(streams)}, of Envoy's`,
      measure: `cpu${streams}`,
      of: 'culvert',
      against: ['envoy'],
      most: cpuMost,
    },
  ]),
  rounds: 5,
  start: (context) =>
    compareSides(context, {}, async (world, side) => {
      const values: Record<string, number> = {};
      for (const { streams } of wanted) {
        const before = await world.cpuSeconds(side);
        const args = [String(1.5 * context.pace), String(streams)];
        const { gbps = 0, bytes = 0 } = await world.load(side, 'sink', 'throughput', args);
        values[`gbps${streams}`] = gbps;
        const used = (await world.cpuSeconds(side)) - before;
        if (side !== 'direct') values[`cpu${streams}`] = used / (bytes / 1e9);
      }
      return values;
    }),
};

function plural(streams: number): string {
  return streams === 1 ? '1 stream' : `${streams} streams`;
}
