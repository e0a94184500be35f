// How much memory does a ztunnel hold when nothing happens, and how much does each idle connection add?
import type { Figure } from './harness.ts';
import { ask, program, serverAddress } from './harness.ts';

const connections = 1000;

await ask(async (bench) => {
  const nodes = bench.mesh.shop.nodes;
  const before = await Promise.all(nodes.map((node) => bench.residentBytes(node)));
  const ended = new AbortController();
  const opened = Promise.withResolvers<void>();
  const holding = bench.mesh.exec(
    'client',
    ['python3', program('idle.py'), serverAddress.mesh, '7000', String(connections)],
    { timeoutMs: 60_000, onOutput: () => opened.resolve(), signal: ended.signal },
  );
  await Promise.race([opened.promise, holding.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
  const after = await Promise.all(nodes.map((node) => bench.residentBytes(node)));
  ended.abort();
  await holding;
  const sides = ['client', 'server'];
  return nodes.flatMap((_node, position): readonly Figure[] => [
    {
      name: `resident, idle, ${sides[position] ?? ''}'s node`,
      unit: 'MB',
      better: 'less',
      mesh: (before[position] ?? 0) / 1e6,
    },
    {
      name: `per idle connection, ${sides[position] ?? ''}'s node`,
      unit: 'KB',
      better: 'less',
      mesh: ((after[position] ?? 0) - (before[position] ?? 0)) / connections / 1e3,
    },
  ]);
});
