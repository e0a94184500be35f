// How long do 64 bytes take there and back on an open connection?
import { ask, program, serverAddress, takeTurns } from './harness.ts';

await ask(async (bench) => {
  const taken = await takeTurns(async (side) => {
    const args = [program('roundtrip.py'), serverAddress[side], '7000', '2'];
    return JSON.parse(await bench.client(side, ['python3', ...args])) as { p50: number; p99: number };
  });
  return (['p50', 'p99'] as const).map((key) => ({
    name: `64 B round trip, ${key}`,
    unit: 'us',
    better: 'less',
    mesh: taken.mesh[key],
    direct: taken.direct[key],
  }));
});
