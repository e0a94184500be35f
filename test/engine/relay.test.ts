// Connections that are not carried by a tunnel.
import assert from 'node:assert/strict';
import { Application, EngineNode, clientId, dial, fate, loopback, readAll } from '../support/engine-node.ts';
import { ip } from '../../src/mesh/address.ts';

describe('a connection without a tunnel', () => {
  let node: EngineNode;
  let application: Application;

  beforeEach(async () => {
    node = await EngineNode.start();
  });

  afterEach(() => {
    node.close();
    application.close();
  });

  it('goes to where a plain decision says, half-closed each way', async () => {
    application = await Application.listen((peer) => {
      void readAll(peer).then((asked) => peer.end(asked));
    });
    const pod = await node.addPod('pod', clientId);
    node.onOutbound = () => ({ kind: 'plain', to: { ip: loopback, port: application.port } });
    const data = Buffer.alloc(3_000_000, 'x');

    const socket = await dial(pod.outbound);
    socket.end(data);
    const echoed = await readAll(socket);

    assert.ok(echoed.equals(data));
    const [closed] = await node.closed(1);
    assert.deepEqual(
      [closed?.reason, closed?.bytesSent, closed?.bytesReceived],
      ['ok', data.length, data.length],
    );
    assert.equal(node.of('connected').length, 1);
  });

  it('is reset when the plain dial is refused', async () => {
    application = await Application.echo();
    const dead = application.port;
    application.close();
    const pod = await node.addPod('pod', clientId);
    node.onOutbound = () => ({ kind: 'plain', to: { ip: loopback, port: dead } });

    const socket = await dial(pod.outbound);

    assert.equal(await fate(socket), 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.detail, closed?.endedBy], ['connect_failed', 111, 'target']);
  });

  it('reaches the application with the address of its client and another port', async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<(string | number | undefined)[]>();
    application = await Application.listen((peer) => {
      resolve([peer.remoteAddress, peer.remotePort]);
      peer.pipe(peer);
    });
    const pod = await node.addPod('pod', clientId);
    const source = ip('127.9.9.9');
    node.onPlaintext = () => ({
      kind: 'deliver',
      to: { ip: loopback, port: application.port },
      source,
      headers: [],
    });

    const socket = await dial(pod.plaintext);
    const clientPort = socket.localPort;
    socket.end('hello');

    assert.equal((await readAll(socket)).toString(), 'hello');
    const [address, port] = await accepted;
    assert.equal(address, source);
    assert.notEqual(port, clientPort);
  });

  it('is reset by a rejection', async () => {
    application = await Application.echo();
    const pod = await node.addPod('pod', clientId);
    node.onPlaintext = () => ({ kind: 'reject', status: 401, reason: 'denied' });

    const socket = await dial(pod.plaintext);

    assert.equal(await fate(socket), 'ECONNRESET');
    assert.equal((await node.closed(1))[0]?.reason, 'denied');
  });

  it('carries a reset by the application', async () => {
    application = await Application.listen((peer) => peer.resetAndDestroy());
    const pod = await node.addPod('pod', clientId);
    node.onPlaintext = () => ({ kind: 'deliver', to: { ip: loopback, port: application.port }, headers: [] });

    const socket = await dial(pod.plaintext);

    assert.equal(await fate(socket), 'ECONNRESET');
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.endedBy], ['app_reset', 'target']);
  });

  it('is refused when it would be delivered to a listener of the engine', async () => {
    application = await Application.echo();
    const pod = await node.addPod('pod', clientId);
    node.onPlaintext = () => ({ kind: 'deliver', to: pod.plaintext, headers: [] });

    const socket = await dial(pod.plaintext);

    assert.equal(await fate(socket), 'ECONNRESET');
    assert.equal((await node.closed(1))[0]?.reason, 'self_call');
    assert.equal(node.of('plaintext').length, 1);
  });
});
