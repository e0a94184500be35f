// An engine that carries all its connections to a server on the port that it is given, in a process that may take so many
// bytes more when it says so. It prints the port of its pod, then `limited`.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { EngineNode, clientId, serverId, tunnelTo } from './engine-node.ts';

const [port = 0, bytesMore = 0] = process.argv.slice(2).map(Number);

const node = await EngineNode.start({ limits: { bufferBytes: 2 ** 32 } });
const client = await node.addPod('client', clientId);
const server = await node.addPod('server', serverId);
node.onOutbound = () => tunnelTo(server.hbone, port);
process.stdout.write(`${client.outbound.port}\n`);

process.stdin.once('data', () => {
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]);
  spawnSync('prlimit', ['--pid', String(process.pid), `--as=${pages * 4096 + bytesMore}`]);
  process.stdout.write('limited\n');
});
