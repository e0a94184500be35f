// Ends that somebody planned: renewal, removal, drain, close.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type net from 'node:net';
import {
  Application,
  EngineNode,
  type NodeOptions,
  type PodAddresses,
  clientId,
  dial,
  fate,
  holds,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';

describe('the life of an engine', () => {
  let node: EngineNode;
  let application: Application;
  let client: PodAddresses;
  let server: PodAddresses;

  async function arrange(options: NodeOptions = {}): Promise<void> {
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

  async function openOne(): Promise<net.Socket> {
    const before = node.of('connected').length;
    const socket = await dial(client.outbound);
    await holds(() => assert.equal(node.of('connected').length, before + 2));
    return socket;
  }

  it('adds a pod once', async () => {
    await arrange();

    assert.deepEqual(await node.addPod('client', clientId), client);
  });

  it('refuses an identity whose key is another', async () => {
    await arrange();
    const leaf = await node.authority.issue(clientId);
    const other = await node.authority.issue(clientId);

    assert.throws(() => node.setIdentity(clientId, { ...leaf, keyPem: other.keyPem }), {
      code: 'ERR_CULVERT_ENGINE_ARGUMENT',
    });
  });

  it('renews certificates under load without a failed connection', async () => {
    await arrange();
    const kept = await openOne();
    let renewals = 0;
    let done = false;
    const renew = (async () => {
      while (!done) {
        await node.renew(renewals % 2 === 0 ? clientId : serverId);
        renewals += 1;
      }
    })();

    try {
      for (let round = 0; round < 40; round += 1) {
        const sockets = await Promise.all(Array.from({ length: 10 }, () => dial(client.outbound)));
        sockets.forEach((socket, index) => socket.end(`${round}.${index}`));
        const echoes = await Promise.all(sockets.map((socket) => readAll(socket)));
        assert.deepEqual(
          echoes.map(String),
          sockets.map((_, index) => `${round}.${index}`),
        );
      }
    } catch (error) {
      const failed = node.events.filter((event) => 'reason' in event && event.reason !== 'ok');
      throw new Error(JSON.stringify(failed), { cause: error });
    } finally {
      done = true;
      await renew;
    }
    kept.end('kept');

    assert.equal((await readAll(kept)).toString(), 'kept');
    const closed = await node.closed(802);
    assert.ok(closed.every((event) => event.reason === 'ok'));
    assert.ok(renewals > 4);
    // All but the newest tunnel of each side have gone.
    await holds(() => assert.ok(node.engine.stats().tunnelsOutbound <= 2));
  }).timeout(60_000);

  it('closes an idle tunnel', async () => {
    await arrange({ timeouts: { idleTunnelMs: 100 } });
    const socket = await openOne();
    socket.end();
    await readAll(socket);

    await node.event('tunnelDown', (event) => event.direction === 'outbound');
    await node.event('tunnelDown', (event) => event.direction === 'inbound');

    assert.ok(node.of('tunnelDown').every((event) => event.reason === 'ok'));
    await holds(() => assert.equal(node.engine.stats().tunnelsInbound, 0));
  });

  it('keeps only as many idle tunnels as it may', async () => {
    await arrange({ limits: { idleTunnels: 1 } });
    const other = await node.addPod('other', clientId);
    for (const pod of [client, other]) {
      const socket = await dial(pod.outbound);
      socket.end();
      await readAll(socket);
    }

    await node.event('tunnelDown', (event) => event.direction === 'outbound');

    await holds(() => assert.equal(node.engine.stats().tunnelsOutbound, 1));
  });

  it('lets the streams of a removed pod finish', async () => {
    await arrange();
    const socket = await openOne();

    node.engine.removePod('server', 10_000);
    await holds(async () => assert.match(await fate(await dial(server.hbone)), /ECONNREFUSED/));
    socket.end('last words');

    assert.equal((await readAll(socket)).toString(), 'last words');
    await node.event('tunnelDown', (event) => event.direction === 'inbound');
    assert.ok((await node.closed(2)).every((event) => event.reason === 'ok'));
  });

  it('resets the streams of a removed pod at its deadline', async () => {
    await arrange();
    const socket = await openOne();
    const outcome = fate(socket);

    node.engine.removePod('server', 100);

    assert.equal(await outcome, 'ECONNRESET');
    const connect = node.of('connect')[0];
    const closed = await node.event('closed', (event) => event.id === connect?.id);
    assert.equal(closed.reason, 'drained');
  });

  it('is drained when the last connection has ended', async () => {
    await arrange();
    const socket = await openOne();

    const drained = node.engine.drain(10_000);
    socket.end('x');
    await readAll(socket);
    await drained;

    const { connections, tunnelsInbound, tunnelsOutbound } = node.engine.stats();
    assert.deepEqual([connections, tunnelsInbound, tunnelsOutbound], [0, 0, 0]);
    assert.ok(node.of('closed').every((event) => event.reason === 'ok'));
  });

  it('is drained at the deadline', async () => {
    await arrange();
    const socket = await openOne();
    const outcome = fate(socket);

    await node.engine.drain(100);

    assert.equal(await outcome, 'ECONNRESET');
    assert.ok((await node.closed(2)).some((event) => event.reason === 'drained'));
  });

  it('is drained at the deadline though a pod is to be added meanwhile, which is refused from then on', async () => {
    await arrange();
    const socket = await openOne();
    const outcome = fate(socket);

    const from = Date.now();
    const drained = node.engine.drain(300);
    await assert.rejects(node.addPod('late', clientId), { code: 'ERR_CULVERT_ENGINE_DRAINING' });
    await assert.rejects(node.addPod('client', clientId), { code: 'ERR_CULVERT_ENGINE_DRAINING' });
    await drained;

    assert.ok(Date.now() - from >= 290 && Date.now() - from < 5000, `${Date.now() - from} ms`);
    assert.equal(await outcome, 'ECONNRESET');
    assert.equal(await fate(await dial(client.outbound)), 'ECONNREFUSED');
    await assert.rejects(node.addPod('later', clientId), { code: 'ERR_CULVERT_ENGINE_DRAINING' });
  });

  it('is drained at the deadline though a pod was removed before with more time than that', async () => {
    await arrange();
    const socket = await openOne();
    const outcome = fate(socket);
    node.engine.removePod('client', 60_000);
    node.engine.removePod('server', 60_000);

    const from = Date.now();
    await node.engine.drain(200);

    assert.ok(Date.now() - from < 5000, `${Date.now() - from} ms`);
    assert.equal(await outcome, 'ECONNRESET');
    const { connections, tunnelsInbound, tunnelsOutbound } = node.engine.stats();
    assert.deepEqual([connections, tunnelsInbound, tunnelsOutbound], [0, 0, 0]);
  });

  it('is drained at the earlier of two deadlines', async () => {
    await arrange();
    await openOne();

    const from = Date.now();
    const patient = node.engine.drain(60_000);
    await node.engine.drain(100);
    await patient;

    assert.ok(Date.now() - from < 5000, `${Date.now() - from} ms`);
    assert.equal(node.engine.stats().connections, 0);
  });

  it('closes while busy, and tells the end of each connection', async () => {
    await arrange();
    const sockets = await Promise.all(Array.from({ length: 50 }, () => dial(client.outbound)));
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      socket.write(Buffer.alloc(1 << 20));
      socket.resume();
    }
    await node.event('connected');

    node.close();

    const announced = [...node.of('outbound'), ...node.of('connect')].map((event) => event.id);
    const closed = node.of('closed').map((event) => event.id);
    assert.deepEqual(closed.toSorted(), announced.toSorted());
    assert.equal(node.engine.stats().connections, 0);
    node.close();
  });

  it('lets the process exit while it runs', async () => {
    await arrange();
    const script = `
      import { EngineNode, dial, tunnelTo, Application, clientId, serverId } from './test/support/engine-node.ts';
      const application = await Application.echo();
      const node = await EngineNode.start();
      const client = await node.addPod('client', clientId);
      const server = await node.addPod('server', serverId);
      node.onOutbound = () => tunnelTo(server.hbone, application.port);
      for (let i = 0; i < 20; i += 1) {
        const socket = await dial(client.outbound);
        socket.on('error', () => undefined).write(Buffer.alloc(1 << 20));
        socket.resume();
      }
      await node.event('connected');
      process.exit(7);`;

    const run = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], {
      encoding: 'utf8',
    });

    assert.equal(run.status, 7, `${run.signal} ${run.stderr}`);
  });
});
