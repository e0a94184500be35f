// Peers that take more than their share: each is counted and refused, and who behaves beside it is served.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Application,
  EngineNode,
  type NodeOptions,
  type PodAddresses,
  clientId,
  dial,
  fate,
  holds,
  loopback,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';
import { type HboneClient, dialHbone, serveHbone } from '../support/hbone-peer.ts';
import { RawPeer, frame, windowUpdate } from '../support/raw-h2.ts';

type Stream = http2.ClientHttp2Stream;

describe('a peer beside one that behaves', () => {
  let node: EngineNode;
  let application: Application;
  let pod: PodAddresses;

  async function arrange(options: NodeOptions = {}, app?: Application): Promise<void> {
    application = app ?? (await Application.echo());
    node = await EngineNode.start(options);
    pod = await node.addPod('pod', serverId);
  }

  afterEach(() => {
    node.close();
    application.close();
  });

  const counter = (name: string): number => node.engine.stats().counters[name] ?? -1;

  async function credentials(name: string): Promise<Parameters<typeof dialHbone>[1]> {
    const leaf = await node.authority.issue(name);
    return { certificateChain: leaf.chainPem, privateKey: leaf.keyPem, roots: node.authority.rootPem };
  }

  async function dialPod(localAddress: string = loopback): Promise<HboneClient> {
    const to = { host: loopback, port: pod.hbone.port, localAddress };
    return await dialHbone(to, await credentials(clientId), { maxSessionMemory: 1000 });
  }

  async function openStream(peer: HboneClient): Promise<Stream> {
    const { status, stream } = await peer.connect(`127.0.0.1:${application.port}`);
    assert.equal(status, 200);
    return stream;
  }

  /** What the echo behind this stream or socket says to `text`. */
  async function ask(stream: Stream | net.Socket, text: string): Promise<string> {
    stream.write(text);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    return chunk.toString();
  }

  /** A tunnel and a stream that are open already, and new ones. */
  async function isServed(peer: HboneClient, open: Stream): Promise<void> {
    assert.equal(await ask(open, 'old stream'), 'old stream');
    assert.equal(await ask(await openStream(peer), 'new stream'), 'new stream');
    const other = await dialPod();
    assert.equal(await ask(await openStream(other), 'new tunnel'), 'new tunnel');
    other.close();
  }

  it('who floods with small WINDOW_UPDATEs is cut off', async () => {
    await arrange();
    const good = await dialPod();
    const open = await openStream(good);
    const bad = await RawPeer.dial(pod.hbone, await node.authority.issue(clientId));

    await bad.flood(Buffer.concat(Array.from({ length: 1000 }, () => windowUpdate(0, 1))), 1000);
    await bad.gone;

    assert.equal(counter('window_update_flood'), 1);
    await isServed(good, open);
    good.close();
  });

  it('who gives credit in large pieces is not', async () => {
    await arrange();
    const bad = await RawPeer.dial(pod.hbone, await node.authority.issue(clientId));

    bad.socket.write(Buffer.concat(Array.from({ length: 5000 }, () => windowUpdate(0, 256))));
    bad.connect(1, `127.0.0.1:${application.port}`);
    await node.event('connected');

    assert.equal(counter('window_update_flood'), 0);
    bad.socket.destroy();
  });

  it('who floods with DATA of one byte is cut off', async () => {
    await arrange();
    const good = await dialPod();
    const open = await openStream(good);
    const bad = await RawPeer.dial(pod.hbone, await node.authority.issue(clientId));
    bad.connect(1, `127.0.0.1:${application.port}`);
    await holds(() => assert.equal(node.of('connected').length, 2));

    const byte = frame('data', 0, 1, Buffer.from('x'));
    await bad.flood(Buffer.concat(Array.from({ length: 10_000 }, () => byte)), 100);
    await bad.gone;

    assert.equal(counter('tiny_data_flood'), 1);
    const hostile = node.of('connect')[1];
    const closed = await node.event('closed', (event) => event.id === hostile?.id);
    assert.notEqual(closed.reason, 'ok');
    await isServed(good, open);
    good.close();
  });

  it('who asks for new keys again and again without data is cut off', async () => {
    await arrange({ timeouts: { prefaceMs: 30_000 } });
    const good = await dialPod();
    const open = await openStream(good);
    const leaf = await node.authority.issue(clientId);
    const directory = mkdtempSync(join(tmpdir(), 'culvert-keys-'));
    for (const [name, pem] of Object.entries({ chain: leaf.chainPem, key: leaf.keyPem, roots: leaf.rootPem }))
      writeFileSync(join(directory, name), pem);
    const arg = (name: string): string => join(directory, name);
    const client = spawn(
      'openssl',
      ['s_client', '-connect', `${loopback}:${pod.hbone.port}`, '-alpn', 'h2', '-noservername']
        .concat(['-cert', arg('chain'), '-cert_chain', arg('chain'), '-key', arg('key')])
        .concat(['-CAfile', arg('roots')]),
      { stdio: 'pipe' },
    );
    try {
      const updates = await updateKeys(client, 50);

      assert.ok(updates < 50, `${updates} updates were taken`);
      assert.equal(counter('key_update_flood'), 1);
      await isServed(good, open);
      good.close();
    } finally {
      client.kill();
      rmSync(directory, { recursive: true });
    }
  }).timeout(60_000);

  it('who falls silent loses its tunnel, and who is merely quiet does not', async () => {
    await arrange({ timeouts: { pingIntervalMs: 500, pingTimeoutMs: 3000 } });
    const server = await serveHbone(loopback, await credentials(serverId));
    const wire = await Wire.to(server.port);
    const route = (port: number) => (): ReturnType<typeof tunnelTo> =>
      tunnelTo({ ip: loopback, port }, application.port);
    node.onOutbound = route(server.port);
    const quiet = await dial(pod.outbound);
    assert.equal(await ask(quiet, 'a'), 'a');
    node.onOutbound = route(wire.port);
    const silent = await dial(pod.outbound);
    assert.equal(await ask(silent, 'b'), 'b');

    wire.cut();

    assert.equal(await fate(silent), 'ECONNRESET');
    assert.equal(counter('ping_timeout'), 1);
    const [closed] = await node.closed(1);
    assert.deepEqual([closed?.reason, closed?.detail], ['tunnel_lost', 110]);
    assert.equal(await ask(quiet, 'still here'), 'still here');
    quiet.destroy();
    wire.close();
    await server.close();
  }).timeout(60_000);

  it('who fills the memory is not read on, and loses its stalled streams', async () => {
    const limit = 512 * 1024;
    const stalled: net.Socket[] = [];
    await arrange(
      { limits: { bufferBytes: limit }, timeouts: { stalledStreamMs: 1000 } },
      await Application.listen((socket) => {
        socket.once('data', (first: Buffer) => {
          if (first.toString().startsWith('stall')) {
            socket.pause();
            stalled.push(socket);
          } else {
            socket.pipe(socket);
            socket.write(first);
          }
        });
      }),
    );
    const good = await dialPod();
    const open = await openStream(good);
    const bad = await dialPod();
    const block = Buffer.alloc(1 << 20);
    for (let i = 0; i < 12; i += 1) {
      const stream = await openStream(bad);
      stream.on('error', () => undefined);
      stream.write('stall');
      await holds(() => assert.equal(stalled.length, i + 1));
      for (let n = 0; n < 16; n += 1) stream.write(block);
    }

    // With all windows shut nothing more comes that could be left unread and counted.
    const held = (): number => node.engine.stats().bufferedBytes;
    await holds(() => assert.ok(held() >= limit || counter('buffer_bytes') > 0, `${held()} bytes held`));
    const peak = held();
    await holds(() => assert.ok(counter('stalled_stream_reset') > 0));

    // One receive, and the output of three tunnels, may come on top of what was left.
    assert.ok(peak < limit + (1 << 20), `${peak} bytes held`);
    const [closed] = await node.closed(1);
    assert.equal(closed?.reason, 'limit');
    await isServed(good, open);
    good.close();
    bad.close();
  }).timeout(60_000);

  it('who stops reading is left alone: the next connection gets a tunnel on another thread', async () => {
    await arrange({ threads: 2 });
    const leaf = await node.authority.issue(serverId);
    const server = http2.createSecureServer({
      cert: leaf.chainPem,
      key: leaf.keyPem,
      ca: node.authority.rootPem,
      requestCert: true,
      ALPNProtocols: ['h2'],
    });
    const sessions: http2.ServerHttp2Session[] = [];
    server.on('session', (session) => sessions.push(session));
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.on('error', () => undefined);
      stream.once('data', (first: Buffer) => {
        if (first.toString().startsWith('stall')) return stream.pause();
        stream.write(first);
        return stream.pipe(stream);
      });
    });
    server.listen(0, loopback);
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    node.onOutbound = () => tunnelTo({ ip: loopback, port }, 80);
    const open = await dial(pod.outbound);
    const first = await threadOf(() => echo(open, 16 << 20));
    const stalled = await dial(pod.outbound);
    stalled.write('stall');
    stalled.write(Buffer.alloc(4 << 20));
    await holds(() => assert.equal(node.of('connected').length, 2));
    assert.equal(node.engine.stats().tunnelsOutbound, 1);

    const sockets = [open, stalled];
    await holds(async () => {
      sockets.push(await dial(pod.outbound));
      await holds(() => assert.equal(node.of('connected').length, sockets.length));
      assert.equal(node.engine.stats().tunnelsOutbound, 2);
    });
    const last = sockets.at(-1);
    assert.ok(last !== undefined);
    const second = await threadOf(() => echo(last, 16 << 20));

    assert.equal(sessions.length, 2);
    assert.notEqual(second, first);
    for (const socket of sockets) socket.destroy();
    for (const session of sessions) session.destroy();
    server.close();
  }).timeout(60_000);

  it('who has too many handshakes open is refused, and others are not', async () => {
    await arrange({ limits: { handshakesPerSource: 2 } });
    const good = await dialPod();
    const open = await openStream(good);
    const held = [await dial(pod.hbone), await dial(pod.hbone)];

    assert.equal(await fate(await dial(pod.hbone)), 'ECONNRESET');

    assert.equal(counter('handshakes_per_source'), 1);
    const overload = await node.event('overload');
    assert.deepEqual([overload.queue, overload.count], ['handshakes_per_source', 1]);
    assert.equal(await ask(open, 'old stream'), 'old stream');
    const other = await dialPod('127.0.0.2');
    assert.equal(await ask(await openStream(other), 'other source'), 'other source');
    for (const socket of held) socket.destroy();
    await holds(() => assert.equal(node.engine.stats().tunnelsInbound, 2));
    await isServed(good, open);
    good.close();
    other.close();
  });
});

/** Has `openssl s_client` update its keys one at a time; resolves with how many it did before the connection ended. */
async function updateKeys(client: ChildProcess, most: number): Promise<number> {
  const { stdin, stdout, stderr } = client;
  assert.ok(stdin !== null && stdout !== null && stderr !== null);
  stdin.on('error', () => undefined);
  let said = '';
  let ended = false;
  const exited = once(client, 'exit').then(() => void (ended = true));
  for (const stream of [stdout, stderr]) stream.on('data', (text: Buffer) => void (said += text.toString()));
  await holds(() => assert.match(said, /Verif(y|ication)/));
  const updates = (): number => said.split('KEYUPDATE').length - 1;
  while (!ended && updates() < most) {
    const before = updates();
    // One command per read of s_client: the next is written when this one was taken.
    stdin.write('k\n');
    const taken = holds(() => assert.ok(ended || updates() > before));
    await Promise.race([taken, exited]);
  }
  return updates();
}

/** A TCP relay that can be made to swallow everything, as a cable that was pulled. */
class Wire {
  readonly #server: net.Server;
  readonly #sockets: net.Socket[] = [];

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Wire> {
    const wire = new Wire(net.createServer());
    wire.#server.on('connection', (near) => {
      const far = net.connect(port, loopback);
      near.pipe(far);
      far.pipe(near);
      for (const socket of [near, far]) {
        socket.on('error', () => undefined);
        wire.#sockets.push(socket);
      }
    });
    wire.#server.listen(0, loopback);
    await once(wire.#server, 'listening');
    return wire;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.unpipe().resume();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Sends `length` bytes and takes as many back. */
async function echo(socket: net.Socket, length: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let left = length;
  const count = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left <= 0) resolve(undefined);
  };
  socket.on('data', count);
  socket.write(Buffer.alloc(length));
  await promise;
  socket.off('data', count);
}

/** The engine's thread that had most to do while `work` was done. */
async function threadOf(work: () => Promise<void>): Promise<string | undefined> {
  const before = runTimes();
  await work();
  const spent = [...runTimes()].map(([id, time]) => [id, time - (before.get(id) ?? 0)] as const);
  return spent.toSorted((a, b) => b[1] - a[1])[0]?.[0];
}

/** Nanoseconds on a CPU, by thread of the engine. */
function runTimes(): Map<string, number> {
  const times = new Map<string, number>();
  for (const id of readdirSync('/proc/self/task')) {
    const task = `/proc/self/task/${id}`;
    if (!readFileSync(`${task}/comm`, 'utf8').startsWith('culvert-engine')) continue;
    times.set(id, Number(readFileSync(`${task}/schedstat`, 'utf8').split(' ')[0]));
  }
  return times;
}
