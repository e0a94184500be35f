import { adminGet } from '../../../src/playground/admin.ts';
import type { Question } from '../question.ts';
import { sides } from '../world/manifest.ts';
import type { World } from '../world/world.ts';
import { compareSides } from './compare-sides.ts';

/** Until the tunnel of the connection before has gone. */
const pauseUs = 10_000;

export const question: Question = {
  name: 'cold',
  title: 'How long does the first connection to a new peer take until 64 bytes are back?',
  how:
    'As for a new connection, 2 s, but no tunnel outlives its connection (Culvert: idleTunnels 0; Envoy: one request a ' +
    'connection; HAProxy: no session resumed): TCP, TLS handshake with both certificates, HTTP/2. Culvert agrees on keys ' +
    'with X25519MLKEM768, the rivals with what is their default.',
  contestants: sides,
  measures: [
    { key: 'p50', name: 'first connection + 64 B, p50', unit: 'us', better: 'less', charted: true },
    { key: 'p99', name: 'first connection + 64 B, p99', unit: 'us', better: 'less' },
  ],
  targets: [
    {
      name: "first p50, of the best rival's",
      measure: 'p50',
      of: 'culvert',
      against: ['envoy', 'haproxy'],
      most: 1,
    },
  ],
  rounds: 5,
  start: (context) =>
    compareSides(context, { cold: true, ztunnelFlags: { 'idle-tunnels': '0' } }, async (world, side) => {
      const before = side === 'culvert' ? await tunnelsOpened(world) : 0;
      const {
        p50 = 0,
        p99 = 0,
        count = 0,
      } = await world.load(side, 'echo', 'connect', [String(2 * context.pace), String(pauseUs)]);
      if (side === 'culvert' && (await tunnelsOpened(world)) - before < count)
        throw new Error('a connection used a tunnel that was there already: this was not cold');
      return { p50, p99 };
    }),
};

async function tunnelsOpened(world: World): Promise<number> {
  const { body } = await adminGet(world.mesh.adminSocket('node1'), '/metrics');
  return Number(/^culvert_tunnels_opened_total\{direction="outbound"\} (\d+)/m.exec(body)?.[1] ?? 0);
}
