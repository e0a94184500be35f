// The well-behaved neighbour: an application, and a client that talks to it through the process under attack without a
// pause, over a connection that stays and over new ones. Run by NeighbourProcess; reports by IPC when asked.
import { once } from 'node:events';
import net from 'node:net';
import type { NeighbourReport } from './scene.ts';
import { addresses } from './scene.ts';

const message = Buffer.alloc(64, 'n');
const between = { roundTripsMs: 2, connectsMs: 50 };

let report = emptyReport();
let previous: net.Socket | undefined;

function emptyReport() {
  return { roundTripsUs: [] as number[], connectsUs: [] as number[], failures: [] as string[] };
}

async function dial(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: addresses.serverVip, port, noDelay: true });
  socket.on('error', (error: NodeJS.ErrnoException) => report.failures.push(error.code ?? error.message));
  await once(socket, 'connect');
  return socket;
}

/** Sends 64 bytes and waits for them; microseconds. Throws if the connection ends instead. */
async function roundTrip(socket: net.Socket): Promise<number> {
  const from = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  let missing = message.length;
  const onData = (chunk: Buffer): void => {
    missing -= chunk.length;
    if (missing <= 0) resolve(undefined);
  };
  const onClose = (): void => reject(new Error('closed'));
  socket.on('data', onData).once('close', onClose);
  socket.write(message);
  try {
    await promise;
  } finally {
    socket.off('data', onData).off('close', onClose);
  }
  return (performance.now() - from) * 1000;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function talk(port: number): Promise<void> {
  for (;;) {
    try {
      const socket = (previous = await dial(port));
      for (;;) {
        report.roundTripsUs.push(await roundTrip(socket));
        await pause(between.roundTripsMs);
      }
    } catch (error) {
      report.failures.push(`established: ${String(error)}`);
      previous?.destroy();
      await pause(between.connectsMs);
    }
  }
}

async function comeAndGo(port: number): Promise<void> {
  for (;;) {
    try {
      const from = performance.now();
      const socket = await dial(port);
      await roundTrip(socket);
      report.connectsUs.push((performance.now() - from) * 1000);
      socket.end();
    } catch (error) {
      report.failures.push(`new: ${String(error)}`);
    }
    await pause(between.connectsMs);
  }
}

/** Echoes; who begins with `stall` is never read again, who begins with `flood` is sent to without end. */
function serve(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.once('data', (first: Buffer) => {
    const text = first.toString('latin1', 0, 5);
    if (text === 'stall') return void socket.pause();
    if (text === 'flood') {
      const block = Buffer.alloc(65_536);
      const more = (): void => {
        while (!socket.destroyed && socket.write(block));
      };
      socket.on('drain', more);
      return more();
    }
    socket.write(first);
    return void socket.pipe(socket);
  });
}

const application = net.createServer({ allowHalfOpen: false, noDelay: true }, serve);
application.listen(0, addresses.server, () => {
  process.send?.({ echoPort: (application.address() as net.AddressInfo).port });
});
process.on('message', (asked: { readonly begin: number } | 'report') => {
  if (asked === 'report') {
    process.send?.(report satisfies NeighbourReport);
    report = emptyReport();
    return;
  }
  void talk(asked.begin);
  void comeAndGo(asked.begin);
});
process.on('disconnect', () => process.exit());
