// How long does a new connection take until 64 bytes are back, and how many of them does one client make a second?
import { ask, program, serverAddress, takeTurns } from './harness.ts';

await ask(async (bench) => {
  const taken = await takeTurns(async (side) => {
    const args = [program('connect.py'), serverAddress[side], '7000', '2'];
    return JSON.parse(await bench.client(side, ['python3', ...args])) as { p50: number; rate: number };
  });
  return [
    {
      name: 'connect + 64 B, p50',
      unit: 'us',
      better: 'less',
      mesh: taken.mesh.p50,
      direct: taken.direct.p50,
    },
    {
      name: 'connections, one after another',
      unit: '1/s',
      better: 'more',
      mesh: taken.mesh.rate,
      direct: taken.direct.rate,
    },
  ];
});
