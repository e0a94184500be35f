// HBONE with peers that share no code with the engine: Node's own http2.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import {
  Application,
  EngineNode,
  type PodAddresses,
  clientId,
  dial,
  fate,
  holds,
  loopback,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';
import { type HboneClient, dialHbone, serveHbone } from '../support/hbone-peer.ts';

describe('a peer that is not Culvert', () => {
  let node: EngineNode;
  let application: Application;
  let pod: PodAddresses;

  beforeEach(async () => {
    application = await Application.echo();
    node = await EngineNode.start();
    pod = await node.addPod('pod', serverId);
  });

  afterEach(() => {
    node.close();
    application.close();
  });

  async function credentials(name: string): Promise<Parameters<typeof dialHbone>[1]> {
    const leaf = await node.authority.issue(name);
    return { certificateChain: leaf.chainPem, privateKey: leaf.keyPem, roots: node.authority.rootPem };
  }

  async function dialPod(maxSendHeaderBlockLength = 65_536): Promise<HboneClient> {
    const to = { host: loopback, port: pod.hbone.port };
    return await dialHbone(to, await credentials(clientId), { maxSendHeaderBlockLength });
  }

  it('is served', async () => {
    const peer = await dialPod();

    const { status, stream } = await peer.connect(`127.0.0.1:${application.port}`, {
      forwarded: 'for=10.0.0.9',
    });
    stream.end('hello');
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);

    assert.equal(status, 200);
    assert.equal(Buffer.concat(chunks).toString(), 'hello');
    const connect = await node.event('connect');
    assert.deepEqual(connect.headers, [['forwarded', 'for=10.0.0.9']]);
    peer.close();
  });

  it('gets the status of a rejection', async () => {
    const peer = await dialPod();
    node.onConnect = () => ({ kind: 'reject', status: 401, reason: 'denied' });

    assert.equal((await peer.connect('10.0.0.1:80')).status, 401);
    peer.close();
  });

  it('gets its reset delivered to the application', async () => {
    const peer = await dialPod();
    const { stream } = await peer.connect(`127.0.0.1:${application.port}`);
    await holds(() => assert.equal(application.sockets.size, 1));
    const [socket] = application.sockets;
    assert.ok(socket !== undefined);
    const outcome = fate(socket);

    stream.destroy(new Error('gone'));

    assert.equal(await outcome, 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual(
      [closed?.reason, closed?.detail],
      ['peer_reset', http2.constants.NGHTTP2_INTERNAL_ERROR],
    );
    peer.close();
  });

  it('loses the rest of its streams when it disappears', async () => {
    const peer = await dialPod();
    await peer.connect(`127.0.0.1:${application.port}`);

    peer.session.destroy();

    const [closed] = await node.closed(1);
    assert.equal(closed?.reason, 'tunnel_lost');
    await holds(() => assert.equal(application.sockets.size, 0));
  });

  it('is told that the pod goes away, and may finish', async () => {
    const peer = await dialPod();
    const { stream } = await peer.connect(`127.0.0.1:${application.port}`);
    const goaways: number[] = [];
    peer.session.on('goaway', (_code: number, last: number) => goaways.push(last));

    node.engine.removePod('pod', 10_000);
    await holds(() => assert.deepEqual(goaways, [2 ** 31 - 1, 1]));
    stream.end('still');
    const [chunk] = (await once(stream, 'data')) as [Buffer];

    assert.equal(chunk.toString(), 'still');
    assert.equal((await node.closed(1))[0]?.reason, 'ok');
  });

  it('who sends more headers than allowed is refused that request only', async () => {
    const peer = await dialPod(1 << 20);
    const stream = peer.session.request({
      ':method': 'CONNECT',
      ':authority': 'a:1',
      big: 'a'.repeat(66_000),
    });
    const [error] = (await once(stream, 'error')) as [Error];

    assert.match(error.message, /ENHANCE_YOUR_CALM/);
    assert.equal(node.engine.stats().counters['header_list_too_large'], 1);
    const { status } = await peer.connect(`127.0.0.1:${application.port}`);
    assert.equal(status, 200);
    peer.close();
  });

  it('who floods with PING is cut off', async () => {
    const peer = await dialPod();
    const closed = new Promise((resolve) => peer.session.once('close', resolve));
    const ping = (): void => {
      if (!peer.session.closed && !peer.session.destroyed) peer.session.ping(() => ping());
    };
    for (let i = 0; i < 5; i += 1) ping();

    await closed;

    assert.equal(node.engine.stats().counters['ping_flood'], 1);
  });

  describe('as a server', () => {
    it('is called', async () => {
      const server = await serveHbone(loopback, await credentials(serverId));
      node.onOutbound = () => tunnelTo({ ip: loopback, port: server.port }, application.port);

      const socket = await dial(pod.outbound);
      const data = Buffer.alloc(5_000_000, 'z');
      socket.end(data);

      assert.ok((await readAll(socket)).equals(data));
      assert.equal(server.requests[0]?.peer, `URI:${clientId}`);
      assert.equal(server.requests[0]?.headers['baggage'], 'k8s.namespace.name=shop');
      await server.close();
    });

    it('that says GOAWAY gets no new stream, and a new tunnel is opened', async () => {
      const server = http2.createSecureServer({
        ...(await (async () => {
          const { certificateChain, privateKey, roots } = await credentials(serverId);
          return { cert: certificateChain, key: privateKey, ca: roots };
        })()),
        requestCert: true,
        ALPNProtocols: ['h2'],
      });
      const sessions: http2.ServerHttp2Session[] = [];
      server.on('session', (session) => sessions.push(session));
      server.on('stream', (stream) => {
        stream.respond({ ':status': 200 });
        stream.on('error', () => undefined);
        stream.pipe(stream);
      });
      server.listen(0, loopback);
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      node.onOutbound = () => tunnelTo({ ip: loopback, port }, 80);
      const first = await dial(pod.outbound);
      await node.event('connected');

      sessions[0]?.goaway(0);
      first.write('a');
      await once(first, 'data');
      const second = await dial(pod.outbound);
      second.end('b');

      assert.equal((await readAll(second)).toString(), 'b');
      assert.equal(sessions.length, 2);
      first.end();
      assert.equal((await readAll(first)).toString(), '');
      assert.ok((await node.closed(2)).every((event) => event.reason === 'ok'));
      for (const session of sessions) session.destroy();
      server.close();
    });

    it('that closes the connection unasked resets what it carried', async () => {
      const server = await serveHbone(loopback, await credentials(serverId));
      node.onOutbound = () => tunnelTo({ ip: loopback, port: server.port }, application.port);
      const socket = await dial(pod.outbound);
      await node.event('connected');
      const outcome = fate(socket);

      await server.close();

      assert.equal(await outcome, 'ECONNRESET');
      assert.equal((await node.closed(1))[0]?.reason, 'tunnel_lost');
    });
  });
});
