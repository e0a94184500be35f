// How much memory does a ztunnel hold when nothing happens, and how much does each idle connection add?
import type { Bench, Figure } from './harness.ts';
import { ask, program, serverAddress } from './harness.ts';

/** Between these counts the growth is taken: buffers and code that the first connections bring are left out. */
const few = 500;
const many = 2500;

await ask(async (bench) => {
  const idle = await residentBytes(bench);
  const opened = { few: Promise.withResolvers<void>(), many: Promise.withResolvers<void>() };
  const holding = bench.mesh.exec(
    'client',
    ['python3', program('idle.py'), serverAddress.mesh, '7000', String(few), String(many)],
    {
      timeoutMs: 60_000,
      onOutput: (text) => {
        if (text.includes(`open ${few}\n`)) opened.few.resolve();
        if (text.includes(`open ${many}\n`)) opened.many.resolve();
      },
    },
  );
  const failed = holding.then(({ stderr }) => Promise.reject(new Error(`too early an end: ${stderr}`)));
  await Promise.race([opened.few.promise, failed]);
  const withFew = await settledBytes(bench);
  await Promise.race([opened.many.promise, failed]);
  const withMany = await settledBytes(bench);
  await failed.catch(() => undefined);
  return ['client', 'server'].flatMap((side, node): readonly Figure[] => [
    { name: `resident, idle, ${side}'s node`, unit: 'MB', better: 'less', mesh: (idle[node] ?? 0) / 1e6 },
    {
      name: `per idle connection, ${side}'s node`,
      unit: 'KB',
      better: 'less',
      mesh: ((withMany[node] ?? 0) - (withFew[node] ?? 0)) / (many - few) / 1e3,
    },
  ]);
});

function residentBytes(bench: Bench): Promise<readonly number[]> {
  return Promise.all(bench.mesh.shop.nodes.map((node) => bench.residentBytes(node)));
}

/** The least of a second: what was only needed to open connections may be given back meanwhile. */
async function settledBytes(bench: Bench): Promise<readonly number[]> {
  let least = await residentBytes(bench);
  for (let look = 0; look < 10; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = await residentBytes(bench);
    least = least.map((bytes, node) => Math.min(bytes, now[node] ?? bytes));
  }
  return least;
}
