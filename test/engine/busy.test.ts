// Many connections at once: none starves, none stalls another, none is lost.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import {
  Application,
  EngineNode,
  type NodeOptions,
  type PodAddresses,
  clientId,
  dial,
  holds,
  loopback,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';

describe('connections between two pods', () => {
  let node: EngineNode;
  let application: Application;
  let client: PodAddresses;
  let server: PodAddresses;

  async function arrange(app: Application, options: NodeOptions = {}): Promise<void> {
    application = app;
    node = await EngineNode.start(options);
    client = await node.addPod('client', clientId);
    server = await node.addPod('server', serverId);
    node.onOutbound = () => tunnelTo(server.hbone, application.port);
  }

  afterEach(() => {
    node.close();
    application.close();
  });

  it('of which 500 are open at once all echo, and each is closed once', async () => {
    await arrange(await Application.echo());

    const sockets = await Promise.all(Array.from({ length: 500 }, () => dial(client.outbound)));
    await holds(() => assert.equal(node.of('connected').length, 1000));
    sockets.forEach((socket, index) => socket.end(`number ${index}`));
    const echoes = await Promise.all(sockets.map((socket) => readAll(socket)));

    assert.deepEqual(
      echoes.map(String),
      sockets.map((_, index) => `number ${index}`),
    );
    const closed = await node.closed(1000);
    assert.equal(new Set(closed.map((event) => event.id)).size, 1000);
    assert.ok(closed.every((event) => event.reason === 'ok'));
    assert.equal(node.engine.stats().connections, 0);
    assert.ok(node.engine.stats().tunnelsOutbound >= 5);
  }).timeout(60_000);

  it('share one tunnel one after the other', async () => {
    await arrange(await Application.echo());

    for (let i = 0; i < 5; i += 1) {
      const socket = await dial(client.outbound);
      socket.end('x');
      await readAll(socket);
    }
    await node.closed(10);

    assert.equal(node.of('tunnelUp').length, 2);
    const ids = new Set(
      node
        .of('connected')
        .filter((event) => event.peerIdentity === serverId)
        .map((e) => e.tunnelId),
    );
    assert.equal(ids.size, 1);
  });

  it('open a second tunnel when the first has as many streams as it may', async () => {
    await arrange(await Application.echo(), { limits: { streamsPerTunnel: 2 } });

    const sockets = await Promise.all(Array.from({ length: 5 }, () => dial(client.outbound)));
    await holds(() => assert.equal(node.of('connected').length, 10));

    assert.equal(node.engine.stats().tunnelsOutbound, 3);
    for (const socket of sockets) socket.end();
    await Promise.all(sockets.map((socket) => readAll(socket)));
    await node.closed(10);
  });

  it('of two pods never share a tunnel', async () => {
    await arrange(await Application.echo());
    const twin = await node.addPod('twin', clientId);

    const sockets = [await dial(client.outbound), await dial(twin.outbound)];
    await holds(() => assert.equal(node.of('connected').length, 4));

    assert.equal(node.engine.stats().tunnelsOutbound, 2);
    for (const socket of sockets) socket.end();
  });

  it('give four busy uploads a quarter each', async () => {
    await arrange(await Application.echo(), { threads: 1 });
    // A peer that reads slower than four processes write: the tunnel is what they compete for.
    const bytes: number[] = [];
    const leaf = await node.authority.issue(serverId);
    const peer = http2.createSecureServer({
      cert: leaf.chainPem,
      key: leaf.keyPem,
      ca: node.authority.rootPem,
      requestCert: true,
      ALPNProtocols: ['h2'],
      settings: { initialWindowSize: 4 << 20 },
    });
    const sessions: http2.ServerHttp2Session[] = [];
    peer.on('session', (session) => {
      sessions.push(session);
      session.setLocalWindowSize(32 << 20);
    });
    peer.on('stream', (stream) => {
      const index = bytes.push(0) - 1;
      stream.respond({ ':status': 200 });
      stream.on('error', () => undefined);
      stream.on('data', (chunk: Buffer) => (bytes[index] = (bytes[index] ?? 0) + chunk.length));
    });
    peer.listen(0, loopback);
    await once(peer, 'listening');
    const { port } = peer.address() as net.AddressInfo;
    node.onOutbound = () => tunnelTo({ ip: loopback, port }, 80);

    const senders = Array.from({ length: 4 }, () => pour(client.outbound.port));
    await holds(() => assert.ok(bytes.length === 4 && Math.min(...bytes) > 16 << 20));
    const before = [...bytes];
    await holds(() => assert.ok(total(bytes) - total(before) > 128 << 20));
    const shares = bytes.map((count, index) => count - (before[index] ?? 0));
    for (const sender of senders) sender.kill('SIGKILL');
    for (const session of sessions) session.destroy();
    peer.close();

    const mean = total(shares) / 4;
    for (const share of shares)
      assert.ok(Math.abs(share / mean - 1) < 0.2, shares.map((bytesOf) => bytesOf >> 20).join(' '));
  }).timeout(60_000);

  it('go on beside streams whose application reads nothing', async () => {
    const stalled: net.Socket[] = [];
    await arrange(
      await Application.listen((peer) => {
        peer.once('data', (first: Buffer) => {
          if (first.toString().startsWith('stall')) {
            peer.pause();
            stalled.push(peer);
          } else {
            peer.pipe(peer);
            peer.write(first);
          }
        });
      }),
      { threads: 1 },
    );
    const block = Buffer.alloc(1 << 20);
    for (let i = 0; i < 8; i += 1) {
      const socket = await dial(client.outbound);
      socket.write('stall');
      for (let n = 0; n < 16; n += 1) socket.write(block);
    }
    await holds(() => assert.equal(stalled.length, 8));

    const socket = await dial(client.outbound);
    socket.write('echo');
    await once(socket, 'data');
    const data = Buffer.alloc(8 << 20, 'y');
    socket.end(data);

    assert.equal((await readAll(socket)).length, data.length);
    assert.equal(node.engine.stats().tunnelsOutbound, 1);
  }).timeout(60_000);
});

function total(bytes: readonly number[]): number {
  return bytes.reduce((sum, value) => sum + value, 0);
}

/** A process that writes without end, so that this one's own turns do not decide who is next. */
function pour(port: number): ChildProcess {
  const script = `
    const block = Buffer.alloc(1 << 20);
    const socket = require('node:net').connect(${port}, '127.0.0.1');
    const more = () => { while (socket.write(block)); };
    socket.on('drain', more).on('connect', more).on('error', () => process.exit());`;
  return spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
}
