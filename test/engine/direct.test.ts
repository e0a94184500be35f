// Two pods of one engine whose sockets are joined: no tunnel between them.
import assert from 'node:assert/strict';
import type net from 'node:net';
import type { OutboundDecision } from '../../src/engine/types.ts';
import { ip } from '../../src/mesh/address.ts';
import type { PodAddresses } from '../support/engine-node.ts';
import {
  Application,
  EngineNode,
  clientId,
  dial,
  fate,
  holds,
  loopback,
  readAll,
  serverId,
} from '../support/engine-node.ts';

describe('a connection to another pod of the same engine', () => {
  let node: EngineNode;
  let application: Application;
  let client: PodAddresses;

  const join = (port: number, source?: string): OutboundDecision => ({
    kind: 'direct',
    podId: 'server',
    to: { ip: loopback, port },
    ...(source !== undefined && { source: ip(source) }),
  });

  async function start(onConnection: (socket: net.Socket) => void): Promise<void> {
    application = await Application.listen(onConnection);
    node.onOutbound = () => join(application.port);
  }

  /** A connection on which a byte went to and fro. */
  async function opened(): Promise<net.Socket> {
    const socket = await dial(client.outbound);
    socket.write('x');
    await new Promise((resolve) => socket.once('data', resolve));
    return socket;
  }

  /** Of the only connection there is. */
  const idOf = (): number => node.of('outbound')[0]?.id ?? 0;

  beforeEach(async () => {
    node = await EngineNode.start();
    client = await node.addPod('client', clientId);
    await node.addPod('server', serverId);
  });

  afterEach(() => {
    node.close();
    application.close();
  });

  it('carries every byte, half-closed each way, with no tunnel and one end', async () => {
    await start((peer) => void readAll(peer).then((asked) => peer.end(asked)));
    const data = Buffer.alloc(3_000_000, 'x');

    const socket = await dial(client.outbound);
    socket.end(data);
    const echoed = await readAll(socket);

    assert.ok(echoed.equals(data));
    const [closed, ...more] = await node.closed(1);
    assert.deepEqual(more, []);
    assert.deepEqual(
      [closed?.reason, closed?.endedBy, closed?.bytesSent, closed?.bytesReceived],
      ['ok', 'initiator', data.length, data.length],
    );
    assert.equal(node.of('connected').length, 1);
    assert.equal(node.of('connect').length + node.of('tunnelUp').length, 0);
  });

  it('shows the application the address it is told to, never the port of the client', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<(string | number | undefined)[]>();
    await start((peer) => {
      resolve([peer.remoteAddress, peer.remotePort]);
      peer.end();
    });
    node.onOutbound = () => join(application.port, '127.9.9.9');

    const socket = await dial(client.outbound);
    socket.end();

    const [address, port] = await accepted;
    assert.equal(address, '127.9.9.9');
    assert.notEqual(port, socket.localPort);
  });

  it('says who ended it first', async () => {
    await start((peer) => peer.end('bye'));

    const socket = await dial(client.outbound);
    assert.equal((await readAll(socket)).toString(), 'bye');
    socket.end();

    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.endedBy, closed?.bytesReceived], ['ok', 'target', 3]);
  });

  it('carries a reset by the client', async () => {
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    await start((peer) => {
      peer.pipe(peer);
      void fate(peer).then(resolve);
    });
    const socket = await opened();

    socket.resetAndDestroy();

    assert.equal(await ended, 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.endedBy, closed?.afterEnd], ['app_reset', 'initiator', false]);
  });

  it('carries a reset by the application', async () => {
    await start((peer) => peer.once('data', () => peer.resetAndDestroy()));

    const socket = await dial(client.outbound);
    socket.write('x');

    assert.equal(await fate(socket), 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.endedBy, closed?.afterEnd], ['app_reset', 'target', false]);
  });

  it('delivers all that the application sent before its end, although it resets afterwards', async () => {
    const answer = Buffer.alloc(350_000, 'a');
    const { promise: ended, resolve } = Promise.withResolvers<net.Socket>();
    await start((peer) => peer.end(answer, () => resolve(peer)));
    const socket = await dial(client.outbound);
    const peer = await ended;
    // It has left the application, and the client has not read it: it is on its way.
    await holds(() => assert.equal(node.engine.liveBytes(idOf())?.bytesReceived, answer.length));

    peer.resetAndDestroy();
    await holds(() => assert.ok(peer.destroyed));
    const got = await readAll(socket);
    socket.destroy();

    assert.ok(got.equals(answer));
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.endedBy, closed?.afterEnd], ['app_reset', 'target', true]);
  });

  it('is refused when the application is not there, with the errno', async () => {
    await start(() => undefined);
    application.close();

    const socket = await dial(client.outbound);

    assert.equal(await fate(socket), 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.detail, closed?.endedBy], ['connect_failed', 111, 'target']);
  });

  it('is refused when it would be delivered to a listener of the engine', async () => {
    await start(() => undefined);
    const server = await node.addPod('server', serverId);
    node.onOutbound = () => join(server.plaintext.port);

    const socket = await dial(client.outbound);

    assert.equal(await fate(socket), 'ECONNRESET');
    assert.equal((await node.closed(1))[0]?.reason, 'self_call');
    assert.equal(node.of('plaintext').length, 0);
  });

  it('is refused when the other pod is not there, or is on its way out', async () => {
    await start((peer) => peer.pipe(peer));
    node.onOutbound = (event) => {
      node.engine.removePod('server', 10_000);
      node.engine.decideOutbound(event.id, join(application.port));
      return undefined;
    };

    for (let i = 0; i < 2; i += 1) {
      const socket = await dial(client.outbound);
      assert.equal(await fate(socket), 'ECONNRESET');
    }
    for (const { reason, detail } of await node.closed(2))
      assert.deepEqual([reason, detail], ['connect_failed', 111]);
  });

  for (const removed of ['client', 'server'])
    it(`goes on when the ${removed}'s pod is removed, and is cut at the deadline`, async () => {
      await start((peer) => peer.pipe(peer));
      const [socket, other] = [await opened(), await opened()];

      node.engine.removePod(removed, 400);
      other.end('late');
      assert.equal((await readAll(other)).toString(), 'late');

      assert.equal(await fate(socket), 'ECONNRESET');
      const closed = await node.closed(2);
      assert.deepEqual(
        closed.map(({ reason, endedBy }) => `${reason} by ${endedBy}`),
        ['ok by initiator', `drained by ${removed === 'client' ? 'initiator' : 'target'}`],
      );
    });

  it('is cut by request at both ends, with the reason given', async () => {
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    await start((peer) => {
      peer.pipe(peer);
      void fate(peer).then(resolve);
    });
    const socket = await opened();

    node.engine.closeConnections([idOf()], 'denied');

    assert.equal(await fate(socket), 'ECONNRESET');
    assert.equal(await ended, 'ECONNRESET');
    assert.equal((await node.closed(1))[0]?.reason, 'denied');
  });

  it('counts its bytes while it is open', async () => {
    await start((peer) => peer.pipe(peer));
    await opened();

    assert.deepEqual(node.engine.liveBytes(idOf()), { bytesSent: 1, bytesReceived: 1 });
  });

  it('holds a sender back whose receiver does not read, and serves others meanwhile', async () => {
    await start((peer) => {
      peer.once('data', (data: Buffer) => {
        if (data.toString().startsWith('stall')) peer.pause();
        else peer.end(data);
      });
    });
    const stalled = await dial(client.outbound);
    stalled.write('stall');
    const block = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64; i += 1) stalled.write(block);
    await holds(() => assert.ok(node.engine.stats().bufferedBytes > 0));

    const socket = await dial(client.outbound);
    socket.end('hello');

    assert.equal((await readAll(socket)).toString(), 'hello');
    assert.ok(node.engine.stats().bufferedBytes < 1_000_000);
    stalled.destroy();
    for (const peer of application.sockets) peer.resetAndDestroy();
    await node.closed(2);
    assert.equal(node.engine.stats().bufferedBytes, 0);
  });
});
