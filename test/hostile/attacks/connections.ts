// What can be done without a certificate: connections, bytes that are no handshake, and handshakes that lead nowhere.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { RawPeer } from '../../support/raw-h2.ts';
import type { Attack, Scene } from '../attack.ts';
import { dial, soon } from './ending.ts';

/** A connection that writes `bytes` and waits for its end: `end`, an error's code, or `open` after the deadline. */
async function fateOf(scene: Scene, localAddress: string, bytes: Buffer, ms = 8000): Promise<string> {
  const socket = net.connect({ host: scene.hbone.ip, port: scene.hbone.port, localAddress });
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  socket.on('end', () => resolve('end')).resume();
  if (bytes.length > 0) socket.write(bytes);
  const fate = await Promise.race([promise, soon(ms)]);
  socket.destroy();
  return fate === false ? 'open' : fate;
}

/** What a TLS client of this machine says first. */
async function clientHello(): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = tls.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
  });
  client.on('error', () => undefined);
  const [accepted] = (await once(server, 'connection')) as [net.Socket];
  const [hello] = (await once(accepted, 'data')) as [Buffer];
  client.destroy();
  accepted.destroy();
  server.close();
  return hello;
}

function towards(scene: Scene, localAddress: string): net.TcpNetConnectOpts {
  return { host: scene.hbone.ip, port: scene.hbone.port, localAddress };
}

async function inBatches(
  count: number,
  size: number,
  one: (index: number) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < count; from += size)
    await Promise.all(Array.from({ length: Math.min(size, count - from) }, (_, index) => one(from + index)));
}

function tally(fates: readonly string[]): string {
  const counts = Map.groupBy(fates, (fate) => fate);
  return [...counts].map(([fate, all]) => `${all.length} ${fate}`).join(', ');
}

/** Bytes that no handshake begins with; each is closed at once. */
const garbage: readonly (readonly [string, Buffer])[] = [
  ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['HTTP/2 without TLS', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['a record that claims 65535 bytes', Buffer.concat([Buffer.of(22, 3, 1, 255, 255), Buffer.alloc(64)])],
  [
    'a ClientHello that claims 16 MB',
    Buffer.concat([Buffer.of(22, 3, 1, 64, 0, 1, 255, 255, 255, 3, 3), Buffer.alloc(16_378)]),
  ],
  ['1000 ChangeCipherSpec', Buffer.concat(Array.from({ length: 1000 }, () => Buffer.of(20, 3, 3, 0, 1, 1)))],
  [
    '1000 warning alerts',
    Buffer.concat(Array.from({ length: 1000 }, () => Buffer.of(21, 3, 3, 0, 2, 1, 90))),
  ],
  ['1000 empty records', Buffer.concat(Array.from({ length: 1000 }, () => Buffer.of(22, 3, 3, 0, 0)))],
  ['application data first', Buffer.concat([Buffer.of(23, 3, 3, 64, 0), Buffer.alloc(16_384)])],
  ['an SSLv2 hello', Buffer.concat([Buffer.of(0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16), Buffer.alloc(37, 1)])],
];

export const connectionAttacks: readonly Attack[] = [
  {
    name: 'half a ClientHello',
    group: 'before TLS',
    does: 'sends half a ClientHello in 40 connections and falls silent',
    limit: 'closed after 5 s (`handshakeTimeout`)',
    counter: 'handshake_timeout',
    reason: 'tls_failure',
    selected: true,
    async run(scene) {
      const half = (await clientHello()).subarray(0, 100);
      const source = scene.source();
      const fates = await Promise.all(Array.from({ length: 40 }, () => fateOf(scene, source, half)));
      assert.ok(!fates.includes('open'), tally(fates));
      return tally(fates);
    },
  },
  {
    name: 'a ClientHello byte by byte',
    group: 'before TLS',
    does: 'sends a ClientHello a byte at a time, each in time for the next',
    limit: '5 s for the whole handshake',
    counter: 'handshake_timeout',
    reason: 'tls_failure',
    async run(scene) {
      const hello = await clientHello();
      const socket = net.connect({
        host: scene.hbone.ip,
        port: scene.hbone.port,
        localAddress: scene.source(),
        noDelay: true,
      });
      let over = false;
      socket
        .on('error', () => (over = true))
        .on('end', () => (over = true))
        .resume();
      let sent = 0;
      for (; sent < hello.length && !over; sent += 1) {
        socket.write(hello.subarray(sent, sent + 1));
        await soon(10);
      }
      socket.destroy();
      assert.ok(over, 'all of it was read');
      return `closed after ${sent} of ${hello.length} bytes`;
    },
  },
  {
    name: 'slow handshakes by the thousand',
    group: 'before TLS',
    does: 'keeps 4000 half handshakes coming from 200 addresses, more than there are places',
    limit:
      '256 handshakes per thread: the oldest of the network that has most makes room; 8 steps of handshakes per turn',
    counter: 'handshakes_per_thread',
    reason: 'limit',
    selected: true,
    async run(scene) {
      const half = (await clientHello()).subarray(0, 100);
      const sources = Array.from({ length: 200 }, () => scene.source());
      const open: net.Socket[] = [];
      let refused = 0;
      let served = 0;
      // Never fewer than there are places.
      const total = Math.max(1000, scene.times(4000));
      await inBatches(total, 200, async (index) => {
        const socket = net.connect({
          host: scene.hbone.ip,
          port: scene.hbone.port,
          localAddress: sources[index % 200] ?? '',
        });
        socket.on('error', () => (refused += 1)).resume();
        open.push(socket);
        await Promise.race([once(socket, 'connect').catch(() => undefined), soon(2000)]);
        socket.write(half);
        // A good peer comes in between, all places being taken.
        if (index % 500 !== 499) return;
        const good = await dial(scene);
        good.connect(1, scene.application);
        assert.equal((await good.answer(1)).status, 200);
        served += 1;
        good.socket.destroy();
      });
      for (const socket of open) socket.destroy();
      return `${refused} of ${total} had to make room; ${served} of ${served} good handshakes in between succeeded`;
    },
  },
  {
    name: '10000 connections',
    group: 'before TLS',
    does: 'opens 10000 connections from one address and says nothing',
    limit: '64 handshakes per address; the rest is reset when accepted; a backlog of 4096',
    counter: 'handshakes_per_source',
    async run(scene) {
      const localAddress = scene.source();
      const fates: Promise<string>[] = [];
      await inBatches(scene.times(10_000), 500, async () => {
        const socket = net.connect({ host: scene.hbone.ip, port: scene.hbone.port, localAddress });
        const { promise, resolve } = Promise.withResolvers<string>();
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        socket.on('end', () => resolve('end')).resume();
        fates.push(Promise.race([promise, soon(15_000).then(() => 'open')]));
        await Promise.race([once(socket, 'connect').catch(() => undefined), soon(3000)]);
      });
      const ends = await Promise.all(fates);
      assert.ok(!ends.includes('open'), tally(ends));
      return tally(ends);
    },
  },
  {
    name: 'failing handshakes',
    group: 'before TLS',
    does: 'shakes hands 1000 times without a certificate',
    limit: '200 failures per address at once, 20/s; then connections are reset when accepted',
    counter: 'failed_handshakes_per_source',
    async run(scene) {
      const localAddress = scene.source();
      let answered = 0;
      await inBatches(scene.times(1000), 50, async () => {
        const socket = tls.connect({
          ...towards(scene, localAddress),
          ALPNProtocols: ['h2'],
          rejectUnauthorized: false,
        });
        socket.on('secureConnect', () => (answered += 1)).resume();
        const over = new Promise<void>((resolve) => {
          socket.on('close', () => resolve()).on('error', () => undefined);
          socket.on('end', () => socket.destroy());
        });
        await Promise.race([over, soon(5000)]);
        socket.destroy();
      });
      assert.ok(answered < 800 || scene.times(10) < 10, `${answered} were answered`);
      return `${answered} were answered and refused, the rest reset before a byte was read`;
    },
  },
  {
    name: 'TLS 1.2',
    group: 'before TLS',
    does: 'offers TLS 1.2 at most, where connections can be renegotiated',
    limit: 'TLS 1.3 alone, which has no renegotiation',
    counter: 'handshake_failed',
    reason: 'tls_failure',
    async run(scene) {
      const socket = tls.connect({
        ...towards(scene, scene.source()),
        maxVersion: 'TLSv1.2',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      });
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.match(error.code ?? '', /PROTOCOL_VERSION/);
      return 'alert protocol_version';
    },
  },
  {
    name: 'garbage',
    group: 'before TLS',
    does: `begins with ${garbage.map(([what]) => what).join('; ')}`,
    limit: 'closed at the first record that is none',
    counter: 'handshake_failed',
    reason: 'tls_failure',
    selected: true,
    async run(scene) {
      const fates = await Promise.all(
        garbage.map(async ([what, bytes]) => [what, await fateOf(scene, scene.source(), bytes)] as const),
      );
      for (const [what, fate] of fates) assert.notEqual(fate, 'open', what);
      return tally(fates.map(([, fate]) => fate));
    },
  },
  {
    name: 'no preface',
    group: 'before TLS',
    does: 'proves who it is and then says nothing, in 20 tunnels',
    limit: 'closed after 5 s (`prefaceTimeout`)',
    counter: 'preface_timeout',
    reason: 'h2_failure',
    async run(scene) {
      const localAddress = scene.source();
      const peers = await Promise.all(
        Array.from({ length: 20 }, () =>
          RawPeer.dial(scene.hbone, scene.leaf, { localAddress, first: Buffer.alloc(0) }),
        ),
      );
      for (const peer of peers)
        assert.ok(await Promise.race([peer.gone.then(() => true), soon(8000)]), 'a tunnel is still there');
      return '20 tunnels closed';
    },
  },
  {
    name: 'another protocol',
    group: 'before TLS',
    does: 'proves who it is and speaks HTTP/1.1 inside',
    limit: 'closed at the first byte that is not the preface',
    counter: 'not_http2',
    reason: 'h2_failure',
    async run(scene) {
      const peer = await RawPeer.dial(scene.hbone, scene.leaf, {
        localAddress: scene.source(),
        first: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      });
      assert.ok(await Promise.race([peer.gone.then(() => true), soon(5000)]));
      return 'tunnel closed';
    },
  },
];
