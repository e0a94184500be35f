import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '../../src/cli/admin-client.ts';
import type { Daemon, DaemonOptions, Services } from '../../src/cli/daemon.ts';
import { runDaemon } from '../../src/cli/daemon.ts';
import { adminSocketPath, listProcesses } from '../../src/runtime/process-registry.ts';

describe('a long-running process', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-daemon-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const any = { host: '127.0.0.1', port: 0 };
  function options(start: (services: Services) => Promise<Daemon>): DaemonOptions {
    return {
      kind: 'ztunnel',
      name: 'node1',
      described: { drainTimeout: { value: '10s', source: 'default' } },
      settings: {
        logLevel: 'silent',
        logFormat: 'json',
        metricsAddress: any,
        readinessAddress: any,
        adminAddress: any,
        runDirectory: directory,
        drainTimeout: 10_000,
        debugging: true,
      },
      start,
    };
  }
  const socket = (): { socketPath: string } => ({
    socketPath: adminSocketPath(directory, 'ztunnel', 'node1') ?? '',
  });

  it('registers, answers, drains when it is told to, and leaves nothing behind', async () => {
    const said: string[] = [];
    const running = Promise.withResolvers<void>();
    const ended = runDaemon(
      options(() => {
        setImmediate(running.resolve);
        return Promise.resolve({
          routes: [{ method: 'GET', path: '/own', summary: '', handle: () => ({ body: 'mine' }) }],
          drain: (drain) => Promise.resolve(void said.push(`drain ${String(drain.started)}`)),
          close: () => void said.push('close'),
        });
      }),
    );
    await running.promise;
    while ((await listProcesses(directory)).length === 0) await new Promise((r) => setImmediate(r));

    assert.equal((await ask(socket(), '/own')).body, 'mine');
    assert.match((await ask(socket(), '/settings')).body, /"value": "10s"/);
    assert.equal((await ask(socket(), '/healthz/ready')).status, 200);
    await ask(socket(), '/quitquitquit', 'POST');

    assert.equal(await ended, 0);
    assert.deepEqual(said, ['drain true', 'close']);
    assert.deepEqual(await readdir(directory), []);
  });

  it('is not ready while it starts, and answers already', async () => {
    const start = Promise.withResolvers<Daemon>();
    const asked = Promise.withResolvers<void>();
    const ended = runDaemon(
      options(async () => {
        asked.resolve();
        return start.promise;
      }),
    );
    await asked.promise;

    assert.equal((await ask(socket(), '/healthz/ready')).status, 500);
    await ask(socket(), '/quitquitquit', 'POST');
    start.resolve({ routes: [], drain: () => Promise.resolve(), close: () => undefined });

    assert.equal(await ended, 0);
  });

  it('ends with exit code 1 if it cannot start, and closes what was open', async () => {
    const code = await runDaemon(options(() => Promise.reject(new Error('the kernel lacks sk_lookup'))));

    assert.equal(code, 1);
    assert.deepEqual(await readdir(directory), []);
  });

  it('drains at the first SIGTERM', async () => {
    const running = Promise.withResolvers<void>();
    const ended = runDaemon(
      options(() => {
        setImmediate(running.resolve);
        return Promise.resolve({ routes: [], drain: () => Promise.resolve(), close: () => undefined });
      }),
    );
    await running.promise;

    process.emit('SIGTERM', 'SIGTERM');

    assert.equal(await ended, 0);
    assert.equal(process.listenerCount('SIGTERM'), 0);
  });
});
