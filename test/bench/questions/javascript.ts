import type { MeshSnapshot } from '../../../src/mesh/snapshot.ts';
import { exact, largest, policyOf, principalAt, range } from '../../support/large-mesh.ts';
import { SyntheticNode } from '../../support/synthetic-node.ts';
import type { Question } from '../question.ts';

const live = 200_000;

export const question: Question = {
  name: 'javascript',
  title: 'How many connections a second can the one JavaScript thread take?',
  how:
    'Batches of 128 events as the engine raises them, through everything that answers them: decision, connection table, ' +
    'metrics, access log (made, not written); a mesh of 50,000 workloads and 10,000 policies. CPU time for a whole life: ' +
    `decided, connected, closed. Then ${live} connections are open and a policy changes that denies most.`,
  contestants: ['outbound', 'inbound'],
  measures: [
    { key: 'rate', name: 'connections', unit: '1/s', better: 'more' },
    { key: 'each', name: 'CPU for one', unit: 'us', better: 'less' },
    { key: 'reauthorize', name: `judging ${live} anew`, unit: 'ms', better: 'less' },
    { key: 'slice', name: 'longest of its slices', unit: 'ms', better: 'less' },
  ],
  targets: [{ name: 'a second, inbound', measure: 'rate', of: 'inbound', least: 20_000 }],
  rounds: 3,
  start: () =>
    Promise.resolve({
      measure: (contestant) => measure(contestant as 'outbound' | 'inbound'),
      close: () => Promise.resolve(),
    }),
};

async function measure(direction: 'outbound' | 'inbound'): Promise<Readonly<Record<string, number>>> {
  const node = new SyntheticNode({ ...largest, services: 1_000 });
  const wholeLives = (batches: number): number => {
    const from = process.threadCpuUsage();
    for (let batch = 0; batch < batches; batch += 1) {
      const ids = node.open(128, direction);
      node.connected(ids);
      node.closed(ids);
    }
    const { user, system } = process.threadCpuUsage(from);
    return user + system;
  };
  wholeLives(400);
  const each = wholeLives(400) / 400 / 128;
  return { rate: 1e6 / each, each, ...(direction === 'inbound' && (await reauthorize())) };
}

async function reauthorize(): Promise<{ readonly reauthorize: number; readonly slice: number }> {
  const node = new SyntheticNode({ ...largest, services: 1_000, policies: 0 });
  for (let opened = 0; opened < live; opened += 100) node.connected(node.open(100, 'inbound'));
  const clients = { principals: range(150).map((n) => exact(principalAt(n))) };
  const denial = policyOf('most', clients, { namespace: 'mesh', scope: 'global', action: 'deny' });
  const next: MeshSnapshot = node.snapshot.with({ policies: [denial] });
  const started = process.threadCpuUsage();
  let longest = 0;
  let from = performance.now();
  node.table.reauthorize(next, (podId) => node.workloadOf(podId));
  while (node.table.reauthorizing > 0) {
    longest = Math.max(longest, performance.now() - from);
    await new Promise((resolve) => void setImmediate(resolve));
    from = performance.now();
    await new Promise((resolve) => void setImmediate(resolve));
  }
  const { user, system } = process.threadCpuUsage(started);
  return { reauthorize: (user + system) / 1e3, slice: longest };
}
