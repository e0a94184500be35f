import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdminServer, jsonResponse } from '../../src/runtime/admin-server.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { Readiness } from '../../src/runtime/readiness.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

function ask(target: number | string, path: string, asking: Asking = {}): Promise<Answer> {
  const where = typeof target === 'number' ? { host: '127.0.0.1', port: target } : { socketPath: target };
  return new Promise((resolve, reject) => {
    const asked = request(
      { ...where, path, method: asking.method ?? 'GET', headers: asking.headers, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    asked.on('error', reject);
    asked.end(asking.body);
  });
}

describe('the admin endpoints', () => {
  let directory: string;
  let socket: string;
  let server: AdminServer;
  let readiness: Readiness;
  let quits = 0;
  const logger = createLogger({ level: 'info', format: 'json', write: () => undefined });
  const metrics = createMetrics({ processMetrics: false });
  const local = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-admin-'));
    socket = join(directory, 'admin.sock');
    readiness = new Readiness();
    metrics.counter({ name: 'a_total', help: 'A.' }).child({}).inc();
    server = await AdminServer.start({
      metrics,
      readiness,
      logger,
      listen: { metrics: local, readiness: local, admin: [...local, { kind: 'unix', path: socket }] },
      quit: () => (quits += 1),
      routes: [
        {
          method: 'GET',
          path: '/config_dump',
          summary: 'everything',
          handle: () => jsonResponse({ pods: new Map([['a', 1n]]), names: new Set(['b']) }),
        },
        {
          method: 'GET',
          path: '/broken',
          summary: 'fails',
          handle: () => Promise.reject(new Error('inside')),
        },
      ],
    });
  });
  after(async () => {
    await server.close();
    await rm(directory, { recursive: true });
  });

  it('serve metrics under both names, in the format that is asked for', async () => {
    for (const path of ['/metrics', '/stats/prometheus']) {
      const { status, body } = await ask(server.metrics.port, path);
      assert.equal(status, 200);
      assert.match(body, /^a_total 1$/m);
    }
    const open = await ask(server.metrics.port, '/metrics', {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    });
    assert.match(open.body, /# EOF\n$/);
  });

  it('say 500 and what they wait for until ready', async () => {
    const task = readiness.task('xds', 'no answer yet');
    const waiting = await ask(server.readiness.port, '/healthz/ready');
    assert.equal(waiting.status, 500);
    assert.match(waiting.body, /^xds \(no answer yet\)$/m);

    task.done();

    assert.equal((await ask(server.readiness.port, '/healthz/ready')).status, 200);
  });

  it('list their routes', async () => {
    const { body } = await ask(server.admin.port, '/');
    for (const path of ['/config_dump', '/logging', '/quitquitquit', '/healthz/ready'])
      assert.match(body, new RegExp(`${path} `));
  });

  it('answer on the unix socket too, which is its owner’s alone', async () => {
    const { status, body } = await ask(socket, '/config_dump');

    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body), { pods: { a: '1' }, names: ['b'] });
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
  });

  it('show and change log levels', async () => {
    assert.equal((await ask(server.admin.port, '/logging')).body, 'info\n');

    const post = (query: string): Promise<Answer> =>
      ask(server.admin.port, `/logging?${query}`, { method: 'POST' });
    assert.equal((await post('level=debug')).body, 'debug\n');
    assert.equal((await post('level=warn,xds:trace')).body, 'warn,xds:trace\n');
    assert.equal((await post('level=loud')).status, 400);
    assert.equal((await post('')).status, 400);
    assert.equal((await post('reset')).body, 'info\n');
  });

  it('begin to drain on POST alone', async () => {
    assert.equal((await ask(server.admin.port, '/quitquitquit')).status, 405);
    assert.equal(quits, 0);

    assert.equal((await ask(server.admin.port, '/quitquitquit', { method: 'POST' })).status, 200);

    assert.equal(quits, 1);
  });

  it('refuse what a web page could make a browser send', async () => {
    const before = quits;
    for (const headers of [{ origin: 'https://evil.example' }, { host: 'rebound.example:15000' }])
      assert.equal((await ask(server.admin.port, '/quitquitquit', { method: 'POST', headers })).status, 403);
    assert.equal(quits, before);
  });

  it('answer 404, 413 and 500 and go on', async () => {
    assert.equal((await ask(server.admin.port, '/nothing')).status, 404);
    const big = await ask(server.admin.port, '/logging', {
      method: 'POST',
      body: Buffer.alloc(2 * 1024 * 1024),
    }).catch((error: NodeJS.ErrnoException) => ({ status: error.code === 'EPIPE' ? 413 : 0 }));
    assert.equal(big.status, 413);
    const broken = await ask(server.admin.port, '/broken');
    assert.equal(broken.status, 500);
    assert.doesNotMatch(broken.body, /inside/);
    assert.equal((await ask(server.admin.port, '/')).status, 200);
  });

  it('drop a peer that sends garbage', async () => {
    const ended = new Promise<void>((resolve) => {
      const peer = connect(server.admin.port, '127.0.0.1', () => peer.write('\x16\x03\x01 not http\r\n\r\n'));
      peer.on('close', () => resolve());
      peer.on('error', () => undefined);
      peer.resume();
    });

    await ended;

    assert.equal((await ask(server.admin.port, '/')).status, 200);
  });

  it('say what is in the way when they cannot listen, and leave nothing open', async () => {
    const taken = { kind: 'tcp', host: '127.0.0.1', port: server.admin.port } as const;
    await assert.rejects(
      AdminServer.start({
        metrics,
        readiness,
        logger,
        listen: { metrics: local, readiness: [], admin: [taken] },
        quit: () => undefined,
        routes: [],
      }),
      { code: 'ERR_CULVERT_LISTEN', message: /admin server cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/ },
    );
  });
});
