import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import { compareSides } from './compare-sides.ts';

export const question: Question = {
  name: 'connect',
  title: 'How long does a new connection take until 64 bytes are back?',
  how: 'Connect, 64 bytes there and back, close, one after the other, 2 s; the tunnel is there already.',
  contestants: sides,
  measures: [
    { key: 'p50', name: 'connect + 64 B, p50', unit: 'us', better: 'less', charted: true },
    { key: 'p99', name: 'connect + 64 B, p99', unit: 'us', better: 'less' },
  ],
  targets: [
    { name: "connect p50, of Envoy's", measure: 'p50', of: 'culvert', against: ['envoy'], most: 0.5 },
    {
      name: "connect p99, of the best rival's",
      measure: 'p99',
      of: 'culvert',
      against: ['envoy', 'haproxy'],
      most: 1,
    },
  ],
  rounds: 7,
  start: (context) =>
    compareSides(context, {}, (world, side) =>
      world.load(side, 'echo', 'connect', [String(2 * context.pace), '0']),
    ),
};
