// What the engine does not carry: each case has one `closed`, a reason, and a reset for the application.
import assert from 'node:assert/strict';
import tls from 'node:tls';
import { once } from 'node:events';
import {
  Application,
  EngineNode,
  type PodAddresses,
  clientId,
  deliverToAuthority,
  dial,
  fate,
  holds,
  loopback,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';
import { TestAuthority, type TestLeaf } from '../support/certificates.ts';
import { dialHbone } from '../support/hbone-peer.ts';

describe('a refusal', () => {
  let node: EngineNode;
  let application: Application;
  let client: PodAddresses;
  let server: PodAddresses;

  async function arrange(options = {}): Promise<void> {
    application = await Application.echo();
    node = await EngineNode.start(options);
    client = await node.addPod('client', clientId);
    server = await node.addPod('server', serverId);
    node.onOutbound = () => tunnelTo(server.hbone, application.port);
  }

  afterEach(() => {
    node.close();
    application.close();
  });

  /** The reason of the client's side after its application saw a reset. */
  async function refusedAs(): Promise<string> {
    const socket = await dial(client.outbound);
    assert.equal(await fate(socket), 'ECONNRESET');
    const outbound = await node.event('outbound');
    const closed = await node.event('closed', (event) => event.id === outbound.id);
    return `${closed.reason} ${closed.detail}`;
  }

  it('by policy at the server is 401 and a reset', async () => {
    await arrange();
    node.onConnect = () => ({ kind: 'reject', status: 401, reason: 'denied' });

    assert.equal(await refusedAs(), 'denied 401');

    const connect = await node.event('connect');
    const closed = await node.event('closed', (event) => event.id === connect.id);
    assert.equal(closed.reason, 'denied');
  });

  it('with another status tells the status', async () => {
    await arrange();
    node.onConnect = () => ({ kind: 'reject', status: 400, reason: 'bad_request' });

    assert.equal(await refusedAs(), 'peer_status 400');
  });

  it('of a dead application is 503', async () => {
    await arrange();
    application.close();

    assert.equal(await refusedAs(), 'connect_failed 503');

    const connect = await node.event('connect');
    const closed = await node.event('closed', (event) => event.id === connect.id);
    assert.deepEqual([closed.reason, closed.detail], ['connect_failed', 111]);
  });

  it('by the outbound decision resets at once', async () => {
    await arrange();
    node.onOutbound = () => ({ kind: 'refuse', reason: 'no_route' });

    assert.equal(await refusedAs(), 'no_route 0');
  });

  it('follows when nobody decides', async () => {
    await arrange({ timeouts: { decisionMs: 100 } });
    node.onOutbound = () => undefined;

    assert.equal(await refusedAs(), 'decision_timeout 0');
    assert.equal(node.engine.stats().undecided, 0);
  });

  it('follows when nobody decides at the server', async () => {
    await arrange({ timeouts: { decisionMs: 100 } });
    node.onConnect = () => undefined;

    assert.equal(await refusedAs(), 'connect_failed 503');
    const connect = await node.event('connect');
    const closed = await node.event('closed', (event) => event.id === connect.id);
    assert.equal(closed.reason, 'decision_timeout');
  });

  it('names the missing identity', async () => {
    await arrange();
    node.engine.removeIdentity(clientId);

    assert.equal(await refusedAs(), 'identity_error 0');
  });

  it('of a peer that proves another identity', async () => {
    await arrange();
    const other = 'spiffe://cluster.local/ns/shop/sa/other';
    node.onOutbound = () => tunnelTo(server.hbone, application.port, other);

    assert.match(await refusedAs(), /^tls_failure/);

    assert.equal(node.of('connect').length, 0);
    const down = await node.event('tunnelDown', (event) => event.direction === 'outbound');
    assert.equal(down.peerIdentity, '');
    assert.match(down.message, /application verification failure/);
  });

  it('of a client of a foreign root reaches it as a TLS failure', async () => {
    await arrange();
    const foreign = await TestAuthority.create();
    const leaf = await foreign.issue(clientId);
    node.setIdentity(clientId, leaf);

    assert.match(await refusedAs(), /^tls_failure/);
    assert.equal(node.of('connect').length, 0);
  });

  it('of a client of a foreign trust domain', async () => {
    await arrange();
    const leaf = await node.authority.issue('spiffe://elsewhere.example/ns/shop/sa/client');
    node.setIdentity(clientId, leaf);

    assert.match(await refusedAs(), /^tls_failure/);
    assert.equal(node.of('connect').length, 0);
  });

  it('of a client with two identities', async () => {
    await arrange();
    const leaf = await node.authority.issue(clientId, { uris: [serverId] });
    node.setIdentity(clientId, leaf);

    assert.match(await refusedAs(), /^tls_failure/);
  });

  it('of an expired certificate', async () => {
    await arrange();
    node.setIdentity(clientId, await node.authority.issueExpired(clientId));

    assert.equal(await refusedAs(), 'identity_error 0');
  });

  it('of a dead HBONE port is a failed connect', async () => {
    await arrange();
    const dead = { ip: loopback, port: application.port };
    application.close();
    node.onOutbound = () => tunnelTo(dead, 80);

    assert.equal(await refusedAs(), 'connect_failed 111');
  });

  it('of a peer that does not speak TLS', async () => {
    await arrange();
    const chatty = await Application.listen((socket) => socket.write('SSH-2.0-nobody\r\n'));
    node.onOutbound = () => tunnelTo({ ip: loopback, port: chatty.port }, 80);

    assert.match(await refusedAs(), /^tls_failure/);
    chatty.close();
  });

  it('of a peer that says nothing comes at the handshake deadline', async () => {
    await arrange({ timeouts: { handshakeMs: 150 } });
    const silent = await Application.listen(() => undefined);
    node.onOutbound = () => tunnelTo({ ip: loopback, port: silent.port }, 80);

    assert.match(await refusedAs(), /^tls_failure/);
    silent.close();
  });

  describe('of a stranger at the HBONE port', () => {
    /** One good connection, to prove that the strangers did not harm the pod. */
    async function stillServes(): Promise<void> {
      const socket = await dial(client.outbound);
      socket.end('fine');
      assert.equal((await readAll(socket)).toString(), 'fine');
    }

    function dialTls(
      leaf: TestLeaf | undefined,
      alpn: string[],
      version: tls.SecureVersion = 'TLSv1.3',
    ): tls.TLSSocket {
      const socket = tls.connect({
        host: loopback,
        port: server.hbone.port,
        ca: node.authority.rootPem,
        ...(leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.keyPem }),
        ALPNProtocols: alpn,
        maxVersion: version,
        minVersion: version,
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => undefined);
      return socket;
    }

    it('who speaks plaintext', async () => {
      await arrange();
      const socket = await dial(server.hbone);
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      await fate(socket);

      assert.equal(node.engine.stats().counters['handshake_failed'], 1);
      await stillServes();
    });

    it('who sends half a ClientHello', async () => {
      await arrange({ timeouts: { handshakeMs: 150 } });
      const socket = await dial(server.hbone);
      socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
      await fate(socket);

      assert.equal(node.engine.stats().counters['handshake_timeout'], 1);
      await stillServes();
    });

    it('who has no certificate', async () => {
      await arrange();
      const socket = dialTls(undefined, ['h2']);
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];

      assert.match(error.message, /certificate required|ECONNRESET/);
      await stillServes();
    });

    it('who offers another protocol', async () => {
      await arrange();
      const socket = dialTls(await node.authority.issue(clientId), ['http/1.1']);
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];

      assert.match(error.message, /application protocol|ECONNRESET/);
      await stillServes();
    });

    it('who offers no protocol', async () => {
      await arrange();
      const socket = dialTls(await node.authority.issue(clientId), []);
      socket.resume();
      await once(socket, 'close');

      await holds(() => assert.ok((node.engine.stats().counters['handshake_failed'] ?? 0) > 0));
      await stillServes();
    });

    it('who speaks TLS 1.2', async () => {
      await arrange();
      const socket = dialTls(await node.authority.issue(clientId), ['h2'], 'TLSv1.2');
      await once(socket, 'error');

      await stillServes();
    });

    it('who does not speak HTTP/2 inside', async () => {
      await arrange();
      const socket = dialTls(await node.authority.issue(clientId), ['h2']);
      await once(socket, 'secureConnect');
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      socket.resume();
      await once(socket, 'close');

      assert.equal(node.engine.stats().counters['not_http2'], 1);
      await stillServes();
    });

    it('who says nothing after the handshake', async () => {
      await arrange({ timeouts: { prefaceMs: 150 } });
      const socket = dialTls(await node.authority.issue(clientId), ['h2']);
      await once(socket, 'secureConnect');
      socket.resume();
      await once(socket, 'close');

      assert.equal(node.engine.stats().counters['preface_timeout'], 1);
      await stillServes();
    });

    it('who asks with GET gets 400', async () => {
      await arrange();
      const leaf = await node.authority.issue(clientId);
      const peer = await dialHbone(
        { host: loopback, port: server.hbone.port },
        { certificateChain: leaf.chainPem, privateKey: leaf.keyPem, roots: node.authority.rootPem },
      );
      const stream = peer.session.request({ ':method': 'GET', ':path': '/' });
      stream.on('error', () => undefined);
      const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];

      assert.equal(headers[':status'], 400);
      assert.equal(node.of('connect').length, 0);
      peer.close();
      await stillServes();
    });

    it('who comes too often', async () => {
      await arrange({ limits: { tunnelsPerSource: 3 } });
      const sockets = await Promise.all(
        Array.from({ length: 3 }, async () => {
          const socket = await dial(server.hbone);
          socket.on('error', () => undefined);
          return socket;
        }),
      );

      assert.equal(await fate(await dial(server.hbone)), 'ECONNRESET');

      assert.equal(node.engine.stats().counters['tunnels_per_source'], 1);
      const overload = await node.event('overload');
      assert.deepEqual([overload.queue, overload.count], ['tunnels_per_source', 1]);
      for (const socket of sockets) socket.destroy();
    });
  });

  it('pauses accepting while too many are undecided, and loses none', async () => {
    await arrange({ limits: { undecidedPerPod: 4 } });
    node.onOutbound = () => undefined;
    const sockets = await Promise.all(Array.from({ length: 10 }, () => dial(client.outbound)));
    await holds(() => assert.equal(node.engine.stats().undecided, 4));
    await holds(() => assert.ok((node.engine.stats().counters['undecided_per_pod'] ?? 0) > 0));
    assert.equal(node.of('outbound').length, 4);

    node.onOutbound = () => tunnelTo(server.hbone, application.port);
    node.onConnect = deliverToAuthority;
    for (const event of node.of('outbound')) {
      node.engine.decideOutbound(event.id, tunnelTo(server.hbone, application.port));
    }
    for (const socket of sockets) socket.end('x');
    const echoes = await Promise.all(sockets.map((socket) => readAll(socket)));

    assert.deepEqual(
      echoes.map(String),
      Array.from({ length: 10 }, () => 'x'),
    );
  });
});
