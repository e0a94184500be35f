import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import {
  Application,
  EngineNode,
  clientId,
  deliverToAuthority,
  dial,
  isKind,
  loopback,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';

describe('a connection through a tunnel', () => {
  let node: EngineNode;
  let application: Application;

  afterEach(() => {
    node.close();
    application.close();
  });

  async function arrange(app: Application, options = {}): Promise<net.Socket> {
    application = app;
    node = await EngineNode.start(options);
    const client = await node.addPod('client', clientId);
    const server = await node.addPod('server', serverId);
    node.onOutbound = () => tunnelTo(server.hbone, application.port);
    return await dial(client.outbound);
  }

  it('echoes, and tells who called whom', async () => {
    const socket = await arrange(await Application.echo());

    socket.end('hello');
    const echoed = await readAll(socket);

    assert.equal(echoed.toString(), 'hello');
    const connect = await node.event(isKind('connect'));
    assert.equal(connect.peerIdentity, clientId);
    assert.equal(connect.authority, `127.0.0.1:${application.port}`);
    assert.deepEqual(connect.headers, [['baggage', 'k8s.namespace.name=shop']]);
    assert.equal(connect.podId, 'server');
    const outbound = await node.event(isKind('outbound'));
    const connected = await node.event((event) => event.kind === 'connected' && event.id === outbound.id);
    assert.equal(connected.kind === 'connected' && connected.peerIdentity, serverId);
    const closed = await node.closed(2);
    for (const event of closed) {
      assert.deepEqual([event.reason, event.bytesSent, event.bytesReceived], ['ok', 5, 5]);
    }
  });
});
void deliverToAuthority;
void loopback;
void once;
