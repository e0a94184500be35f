import { PlaygroundProcess } from '../../../src/playground/process.ts';
import { join } from 'node:path';
import type { Context, Question } from '../question.ts';
import { clientPod, nearPod, podAddress, ports, serverPod } from '../world/manifest.ts';
import { World } from '../world/world.ts';

const relayPorts = { echo: 17_000, sink: 17_001 } as const;

export const question: Question = {
  name: 'samenode',
  title: 'What does a pair of pods on one node get?',
  how:
    'A client and a server on one node: without a proxy, through a plain relay in user space (one thread, no TLS), through ' +
    'Culvert with `sameNode: tunnel` and with `sameNode: direct`; and through Culvert to the other node. 1 s each: round ' +
    'trips, then 1 and 4 streams.',
  contestants: ['direct', 'relay', 'tunnel', 'joined', 'across'],
  measures: [
    {
      key: 'p50',
      name: '64 B round trip, p50',
      unit: 'us',
      better: 'less',
      charted: true,
      title: 'same node: 64 B round trip, p50',
    },
    { key: 'p99', name: '64 B round trip, p99', unit: 'us', better: 'less' },
    {
      key: 'gbps1',
      name: 'throughput, 1 stream',
      unit: 'Gbit/s',
      better: 'more',
      charted: true,
      title: 'same node: throughput, 1 stream',
    },
    { key: 'gbps4', name: 'throughput, 4 streams', unit: 'Gbit/s', better: 'more' },
  ],
  targets: [
    {
      name: 'same node: 1 stream, joined of across',
      measure: 'gbps1',
      of: 'joined',
      against: ['across'],
      least: 3,
    },
    { name: 'same node: 4 streams, likewise', measure: 'gbps4', of: 'joined', against: ['across'], least: 3 },
    { name: 'same node: p50, joined of relay', measure: 'p50', of: 'joined', against: ['relay'], most: 1.3 },
  ],
  rounds: 5,
  async start(context) {
    const opened: { close(): Promise<void> }[] = [];
    const close = async (): Promise<void> => {
      for (const each of opened.reverse()) await each.close();
    };
    try {
      const plain = await startWorld(context, 'tunnel');
      opened.push(plain);
      const joined = await startWorld(context, 'direct');
      opened.push(joined);
      for (const service of ['echo', 'sink'] as const) opened.push(await startRelay(context, plain, service));
      return { measure: (contestant) => measure(contestant, context, plain, joined), close };
    } catch (error) {
      await close();
      throw error;
    }
  },
};

function startWorld({ tools, progress }: Context, sameNode: 'tunnel' | 'direct'): Promise<World> {
  const ztunnelFlags = { 'same-node': sameNode };
  return World.start({ tools, progress, sides: ['direct', 'culvert'], ztunnelFlags, extras: { near: true } });
}

/** In the pod of the client, as ztunnel's sockets are. */
function startRelay(
  { tools }: Context,
  world: World,
  service: keyof typeof ports,
): Promise<PlaygroundProcess> {
  const { mesh } = world;
  const target = [podAddress(nearPod('direct')), String(ports[service])];
  return PlaygroundProcess.start({
    name: `relay to ${service}`,
    netns: mesh.netns(clientPod('direct')),
    view: 'pod',
    command: [tools.load, 'relay', String(relayPorts[service]), ...target],
    cwd: mesh.paths.directory,
    logFile: join(mesh.paths.logs, `relay-${service}.log`),
  });
}

async function measure(
  contestant: string,
  { pace }: Context,
  plain: World,
  joined: World,
): Promise<Readonly<Record<string, number>>> {
  const world = contestant === 'joined' ? joined : plain;
  const client = clientPod(contestant === 'direct' || contestant === 'relay' ? 'direct' : 'culvert');
  const target = (service: keyof typeof ports): readonly [string, string] => {
    if (contestant === 'relay') return ['127.0.0.1', String(relayPorts[service])];
    if (contestant === 'across') return [podAddress(serverPod('culvert')), String(ports[service])];
    return [podAddress(nearPod(contestant === 'direct' ? 'direct' : 'culvert')), String(ports[service])];
  };
  const { p50 = 0, p99 = 0 } = await world.loadTo(client, target('echo'), 'roundtrip', [String(pace)]);
  const values: Record<string, number> = { p50, p99 };
  for (const streams of [1, 4]) {
    const args = [String(pace), String(streams)];
    const { gbps = 0 } = await world.loadTo(client, target('sink'), 'throughput', args);
    values[`gbps${streams}`] = gbps;
  }
  return values;
}
