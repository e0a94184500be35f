// Whatever is written to an admin or metrics port: it is answered or cut off, and the next one is answered.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import { AdminServer } from '../../src/runtime/admin-server.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { Readiness } from '../../src/runtime/readiness.ts';
import { anyText, brokenText, checkAsync, propertyTimeoutMs } from '../support/properties.ts';

describe('the admin endpoint', () => {
  let server: AdminServer;
  let quits = 0;
  const log: string[] = [];
  const logger = createLogger({ level: 'info', format: 'json', write: (line) => void log.push(line) });

  before(async () => {
    const local = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;
    server = await AdminServer.start({
      metrics: createMetrics({ processMetrics: false }),
      readiness: new Readiness(),
      logger,
      listen: { metrics: [], readiness: [], admin: local },
      quit: () => (quits += 1),
      routes: [],
    });
  });
  after(() => server.close());

  /** Writes bytes, ends, and resolves to all that comes back before the connection is closed. */
  async function exchange(bytes: string): Promise<string> {
    const socket = connect(server.admin.port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
    socket.on('error', () => undefined);
    socket.end(bytes, 'latin1');
    await once(socket, 'close');
    return answer;
  }

  const good = fc.constantFrom(
    'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'GET /metrics HTTP/1.1\r\nHost: [::1]:1\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n',
    'POST /logging?level=xds:debug,info HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc',
    'POST /logging?reset HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  );

  it('answers in HTTP or hangs up, and is there for the next', async () => {
    await checkAsync(
      fc.asyncProperty(fc.oneof(brokenText(good), anyText), async (bytes) => {
        const answer = await exchange(bytes);
        assert.match(answer, /^(HTTP\/1\.1 [2-5]\d\d |$)/);
        assert.match(
          await exchange('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
          /^HTTP\/1\.1 200 /,
        );
      }),
      150,
    );
    assert.equal(quits, 0);
  }).timeout(propertyTimeoutMs());

  it('takes a request that breaks off for no fault of its own', async () => {
    log.length = 0;

    await exchange('POST /logging?level=info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf');
    await exchange('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');

    assert.deepEqual(log, []);
  });

  it('keeps no more levels of scopes than there can be scopes', async () => {
    for (let i = 0; i < 40; i += 1) {
      const list = Array.from({ length: 100 }, (_, each) => `x${i}_${each}:debug`).join(',');
      await exchange(
        `POST /logging?level=${list} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
    }

    assert.ok([...logger.levels.scopes].length <= 64);
    logger.levels.reset();
  });
});
