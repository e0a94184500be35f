// What the control channel lets those do who have not proven who they are; docs/hardening.md lists it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { paths } from '../../src/xds/grpc-methods.ts';
import type { XdsServer, XdsServerLimits } from '../../src/xds/server.ts';
import { eventually } from '../support/eventually.ts';
import { Harness } from './harness.ts';

describe('the control channel, when strangers talk to it', () => {
  let harness: Harness;
  let server: XdsServer;
  const sessions: http2.ClientHttp2Session[] = [];
  const sockets: net.Socket[] = [];

  async function serve(limits: Partial<XdsServerLimits> = {}): Promise<void> {
    harness = await Harness.create();
    server = await harness.serve({ limits });
  }

  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
    await harness.close();
  });

  function connect(): net.Socket {
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    sockets.push(socket);
    return socket;
  }

  /** Not `once`, which would throw the reset that is expected here. */
  const ended = (socket: net.Socket): Promise<void> =>
    new Promise((resolve) => socket.once('close', () => resolve()));

  /** A call that has sent its headers and not its message; resolves with the status that it gets all the same. */
  async function statusWithoutMessage(path: string, token?: string): Promise<number> {
    const session = http2.connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false });
    sessions.push(session);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    if (headers['grpc-status'] !== undefined) return Number(headers['grpc-status']);
    stream.resume();
    const [trailers] = (await once(stream, 'trailers')) as [http2.IncomingHttpHeaders];
    return Number(trailers['grpc-status']);
  }

  for (const [name, path] of Object.entries(paths))
    for (const token of [undefined, 'wrong'])
      it(`refuses ${name} with ${token ?? 'no'} token before it reads a message`, async () => {
        await serve();

        const status = await statusWithoutMessage(path, token);

        assert.equal(status, 16);
        assert.equal(server.stats().refusedCredentials, 1);
      });

  it('closes a connection that says nothing, and serves others meanwhile', async () => {
    await serve();
    const from = performance.now();
    const silent = ended(connect());

    assert.equal(await statusWithoutMessage(paths.delta), 16);
    await silent;

    assert.ok(performance.now() - from < 15_000);
  }).timeout(25_000);

  it('resets connections above its bound, counts them, and takes new ones when others have gone', async () => {
    await serve({ connectionsMax: 3 });
    const open = [connect(), connect(), connect()];
    await Promise.all(open.map((socket) => once(socket, 'connect')));

    await ended(connect());

    assert.equal(server.stats().refusedLimit, 1);
    for (const socket of open) socket.destroy();
    await eventually('a place is free', async () => {
      const next = connect();
      const closed = ended(next).then(() => true);
      const answered = new Promise<boolean>((resolve) => {
        const secure = tls.connect({ socket: next, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
        secure.on('secureConnect', () => resolve(false)).on('error', () => undefined);
      });
      return !(await Promise.race([closed, answered]));
    });
  });

  it('resets connections of one source above its bound', async () => {
    await serve({ connectionsPerSourceMax: 2 });
    await Promise.all([connect(), connect()].map((socket) => once(socket, 'connect')));

    await ended(connect());

    assert.equal(server.stats().refusedLimit, 1);
    const other = net.connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    sockets.push(other);
    const secure = tls.connect({ socket: other, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    await once(secure, 'secureConnect');
  });

  it('speaks no TLS 1.2 and no plain text', async () => {
    await serve();
    const old = tls.connect({
      port: server.port,
      host: '127.0.0.1',
      maxVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    });
    const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException];
    assert.match(error.code ?? '', /PROTOCOL_VERSION/);

    const plain = connect();
    plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await ended(plain);
  });

  it('takes no message above its bound, though the token is right', async () => {
    await serve();
    const session = http2.connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false });
    sessions.push(session);
    const stream = session.request({
      ':method': 'POST',
      ':path': paths.createCertificate,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: 'Bearer good-token',
    });
    stream.on('error', () => undefined);
    const frame = Buffer.alloc(64 * 1024);
    frame.writeUInt32BE(17 * 2 ** 20, 1);
    stream.write(frame);

    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    stream.resume();
    const status =
      headers['grpc-status'] ??
      ((await once(stream, 'trailers')) as [http2.IncomingHttpHeaders])[0]['grpc-status'];

    assert.equal(Number(status), 8);
  });
});
