// How many bits a second pass over one connection, and over four at once, and what CPU do both ztunnels pay per GB?
import type { Bench, Figure, Side } from './harness.ts';
import { ask, serverAddress, takeTurns } from './harness.ts';

const seconds = 3;

await ask(async (bench) => {
  const figures: Figure[] = [];
  for (const streams of [1, 4]) {
    const taken = await takeTurns((side) => measure(bench, side, streams));
    const name = `${streams} stream${streams === 1 ? '' : 's'}`;
    figures.push({
      name: `throughput, ${name}`,
      unit: 'Gbit/s',
      better: 'more',
      mesh: taken.mesh.gbps,
      direct: taken.direct.gbps,
    });
    figures.push({
      name: `CPU of both ztunnels, ${name}`,
      unit: 's/GB',
      better: 'less',
      mesh: taken.mesh.cpuPerGb,
    });
  }
  return figures;
});

async function measure(
  bench: Bench,
  side: Side,
  streams: number,
): Promise<{ gbps: number; cpuPerGb: number }> {
  const before = await bench.cpuSeconds();
  const args = ['-c', serverAddress[side], '-p', '5201', '-t', String(seconds), '-P', String(streams), '-J'];
  const report = JSON.parse(await bench.client(side, ['iperf3', ...args])) as {
    end: { sum_received: { bits_per_second: number; bytes: number } };
  };
  const { bits_per_second: bps, bytes } = report.end.sum_received;
  return { gbps: bps / 1e9, cpuPerGb: ((await bench.cpuSeconds()) - before) / (bytes / 1e9) };
}
