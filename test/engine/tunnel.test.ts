// One connection through a tunnel between two pods: what goes in comes out, and every kind of end is carried.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import { setImmediate } from 'node:timers/promises';
import {
  Application,
  EngineNode,
  type NodeOptions,
  clientId,
  dial,
  fate,
  holds,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';

const blockBytes = 1 << 20;
const blocks = 64;

describe('a connection through a tunnel', () => {
  let node: EngineNode;
  let application: Application;

  afterEach(() => {
    node.close();
    application.close();
  });

  async function arrange(
    app: Application,
    options: NodeOptions & { readonly onConnect?: EngineNode['onConnect'] } = {},
  ): Promise<net.Socket> {
    application = app;
    node = await EngineNode.start(options);
    // Before the dial: the request may be here before that returns.
    if (options.onConnect !== undefined) node.onConnect = options.onConnect;
    const client = await node.addPod('client', clientId);
    const server = await node.addPod('server', serverId);
    node.onOutbound = () => tunnelTo(server.hbone, application.port);
    return await dial(client.outbound);
  }

  /** The `closed` of the client's and of the server's side. */
  async function ends(): Promise<{ outbound: string; inbound: string }> {
    await node.closed(2);
    const outbound = node.of('outbound')[0]?.id;
    const describe = (ours: boolean): string => {
      const found = node.of('closed').find((event) => (event.id === outbound) === ours);
      return `${found?.reason} by ${found?.endedBy}`;
    };
    return { outbound: describe(true), inbound: describe(false) };
  }

  it('echoes, and tells who called whom', async () => {
    const socket = await arrange(await Application.echo());

    socket.end('hello');
    const echoed = await readAll(socket);

    assert.equal(echoed.toString(), 'hello');
    const connect = await node.event('connect');
    assert.equal(connect.peerIdentity, clientId);
    assert.equal(connect.authority, `127.0.0.1:${application.port}`);
    assert.deepEqual(connect.headers, [['baggage', 'k8s.namespace.name=shop']]);
    assert.equal(connect.podId, 'server');
    const outbound = await node.event('outbound');
    const connected = await node.event('connected', (event) => event.id === outbound.id);
    assert.equal(connected.peerIdentity, serverId);
    assert.equal(connected.tunnelIsNew, true);
    for (const event of await node.closed(2)) {
      assert.deepEqual([event.reason, event.bytesSent, event.bytesReceived], ['ok', 5, 5]);
    }
  });

  it('carries a server that speaks first', async () => {
    const socket = await arrange(await Application.listen((peer) => peer.end('220 ready\r\n')));

    const greeting = await readAll(socket);
    socket.end();

    assert.equal(greeting.toString(), '220 ready\r\n');
    assert.deepEqual(await ends(), { outbound: 'ok by target', inbound: 'ok by target' });
  });

  it('carries the headers of the answer', async () => {
    const socket = await arrange(await Application.echo(), {
      onConnect: (event) => ({
        kind: 'deliver',
        to: { ip: event.local.ip, port: application.port },
        headers: [['baggage', 'service.name=server']],
      }),
    });
    socket.end();

    const outbound = await node.event('outbound');
    const connected = await node.event('connected', (event) => event.id === outbound.id);

    assert.deepEqual(connected.headers, [['baggage', 'service.name=server']]);
  });

  it('carries 64 MiB each way unharmed', async () => {
    const received = createHash('sha256');
    const arrived = Promise.withResolvers<void>();
    const block = randomBytes(blockBytes);
    const expected = createHash('sha256');
    for (let i = 0; i < blocks; i += 1) expected.update(block);
    const digest = expected.digest('hex');
    const socket = await arrange(
      await Application.listen((peer) => {
        peer.on('data', (chunk) => received.update(chunk));
        peer.once('end', arrived.resolve);
        void sendBlocks(peer, block);
      }),
    );

    const back = createHash('sha256');
    const read = (async () => {
      for await (const chunk of socket) back.update(chunk as Buffer);
    })();
    await sendBlocks(socket, block);
    // The engine is done when the kernel has the bytes; the application reads on.
    await Promise.all([read, arrived.promise]);

    for (const event of await node.closed(2)) {
      assert.deepEqual(
        [event.reason, event.bytesSent, event.bytesReceived],
        ['ok', blocks * blockBytes, blocks * blockBytes],
      );
    }
    assert.equal(back.digest('hex'), digest);
    assert.equal(received.digest('hex'), digest);
    assert.equal(node.engine.stats().bufferedBytes, 0);
  }).timeout(60_000);

  it('lets the server go on after the client has ended', async () => {
    const socket = await arrange(
      await Application.listen((peer) => {
        void readAll(peer).then((asked) => peer.end(`answer to ${asked.toString()}`));
      }),
    );

    socket.end('question');

    assert.equal((await readAll(socket)).toString(), 'answer to question');
    assert.deepEqual(await ends(), { outbound: 'ok by initiator', inbound: 'ok by initiator' });
  });

  it('lets the client go on after the server has ended', async () => {
    const { promise: heard, resolve } = Promise.withResolvers<string>();
    const socket = await arrange(
      await Application.listen((peer) => {
        peer.end('bye');
        void readAll(peer).then((rest) => resolve(rest.toString()));
      }),
    );

    assert.equal((await readAll(socket)).toString(), 'bye');
    socket.end('still here');

    assert.equal(await heard, 'still here');
    assert.deepEqual(await ends(), { outbound: 'ok by target', inbound: 'ok by target' });
  });

  it('carries a reset by the client as a reset', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<net.Socket>();
    const socket = await arrange(await Application.listen(resolve));
    const peer = await accepted;
    const outcome = fate(peer);

    socket.resetAndDestroy();

    assert.equal(await outcome, 'ECONNRESET');
    assert.deepEqual(await ends(), {
      outbound: 'app_reset by initiator',
      inbound: 'peer_reset by initiator',
    });
  });

  it('carries a reset by the server as a reset', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<net.Socket>();
    const socket = await arrange(await Application.listen(resolve));
    const peer = await accepted;
    await node.event('connected', (event) => event.id === node.of('connect')[0]?.id);
    const outcome = fate(socket);

    peer.resetAndDestroy();

    assert.equal(await outcome, 'ECONNRESET');
    assert.deepEqual(await ends(), { outbound: 'peer_reset by target', inbound: 'app_reset by target' });
  });

  it('delivers what was sent before a reset of the other direction only up to the reset', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<net.Socket>();
    const socket = await arrange(await Application.listen(resolve));
    const peer = await accepted;
    peer.write('part');
    const [part] = (await once(socket, 'data')) as [Buffer];
    const outcome = fate(socket);

    peer.resetAndDestroy();

    assert.equal(part.toString(), 'part');
    assert.equal(await outcome, 'ECONNRESET');
  });

  it('counts bytes while it lives', async () => {
    const socket = await arrange(await Application.echo());
    socket.write('12345678');
    await once(socket, 'data');
    const outbound = await node.event('outbound');

    await holds(() => {
      assert.deepEqual(node.engine.liveBytes(outbound.id), { bytesSent: 8, bytesReceived: 8 });
    });

    socket.end();
    await node.closed(2);
    assert.equal(node.engine.liveBytes(outbound.id), undefined);
  });

  it('is reset at both ends on request', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<net.Socket>();
    const socket = await arrange(await Application.listen(resolve));
    await node.event('connected', (event) => event.id === node.of('outbound')[0]?.id);
    const outcomes = Promise.all([fate(socket), fate(await accepted)]);
    const connect = await node.event('connect');

    node.engine.closeConnections([connect.id], 'denied');

    assert.deepEqual(await outcomes, ['ECONNRESET', 'ECONNRESET']);
    const closed = (await node.closed(2)).find((event) => event.id === connect.id);
    assert.equal(closed?.reason, 'denied');
  });

  it('does not buffer more than its window for an application that does not read', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<net.Socket>();
    const socket = await arrange(
      await Application.listen((peer) => {
        peer.pause();
        resolve(peer);
      }),
    );
    const peer = await accepted;
    const block = Buffer.alloc(blockBytes);
    for (let i = 0; i < 32; i += 1) socket.write(block);
    const outbound = await node.event('outbound');
    let last = -1;
    await holds(async () => {
      for (let i = 0; i < 50; i += 1) await setImmediate();
      const sent = node.engine.liveBytes(outbound.id)?.bytesSent ?? 0;
      const settled = sent === last && sent > 0;
      last = sent;
      assert.ok(settled);
    });

    assert.ok(node.engine.stats().bufferedBytes < 9 << 20, `${node.engine.stats().bufferedBytes}`);

    peer.resume();
    socket.end();
    peer.on('end', () => peer.end());
    socket.resume();
    const closed = await node.closed(2);
    assert.ok(closed.every((event) => event.bytesSent === 32 * blockBytes));
  }).timeout(60_000);
});

async function sendBlocks(socket: net.Socket, block: Buffer): Promise<void> {
  for (let i = 0; i < blocks; i += 1) {
    if (!socket.write(block)) await once(socket, 'drain');
  }
  socket.end();
}
