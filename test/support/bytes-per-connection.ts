// Run with --expose-gc: prints how many bytes of heap the JavaScript side of a node keeps for each open connection.
//   node --expose-gc bytes-per-connection.ts outbound|inbound <connections>
import { SyntheticNode } from './synthetic-node.ts';

const [direction = 'outbound', count = '100000'] = process.argv.slice(2);
const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined || (direction !== 'outbound' && direction !== 'inbound'))
  throw new Error('usage: node --expose-gc bytes-per-connection.ts outbound|inbound <connections>');

const node = new SyntheticNode({ workloads: 5_000, services: 500, policies: 0 });
const open = (connections: number): void => {
  for (let opened = 0; opened < connections; opened += 100) node.connected(node.open(100, direction));
};
const heapUsed = (): number => {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
};

open(1_000); // what the first of each kind brings along
const before = heapUsed();
open(Number(count));
process.stdout.write(`${Math.round((heapUsed() - before) / Number(count))}\n`);
