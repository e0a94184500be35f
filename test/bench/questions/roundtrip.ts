import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import { compareSides } from './compare-sides.ts';

export const question: Question = {
  name: 'roundtrip',
  title: 'How long do 64 bytes take there and back on an open connection?',
  how: 'One connection, one message at a time, 2 s; the first tenth warms up.',
  contestants: sides,
  measures: [
    { key: 'p50', name: '64 B round trip, p50', unit: 'us', better: 'less', charted: true },
    { key: 'p99', name: '64 B round trip, p99', unit: 'us', better: 'less', charted: true },
  ],
  targets: [
    {
      name: "round trip p50 added, of Envoy's",
      measure: 'p50',
      of: 'culvert',
      against: ['envoy'],
      above: 'direct',
      most: 0.45,
    },
    {
      name: "round trip p99, of the best rival's",
      measure: 'p99',
      of: 'culvert',
      against: ['envoy', 'haproxy'],
      most: 1,
    },
  ],
  rounds: 7,
  start: (context) =>
    compareSides(context, {}, (world, side) =>
      world.load(side, 'echo', 'roundtrip', [String(2 * context.pace)]),
    ),
};
