import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/cli/main.ts';
import { jsonResponse } from '../../src/runtime/admin-server.ts';
import { HttpEndpoint } from '../../src/runtime/http-endpoint.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { adminSocketPath, registerProcess } from '../../src/runtime/process-registry.ts';
import { recordedTerminal } from '../support/terminal.ts';

describe('close-older', () => {
  let directory: string;
  let endpoints: HttpEndpoint[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-close-'));
    endpoints = [];
  });
  afterEach(async () => {
    for (const endpoint of endpoints) await endpoint.close();
    await rm(directory, { recursive: true });
  });

  /** A ztunnel that knows these pods: how many were closed, or why none. */
  async function pretend(name: string, pods: Readonly<Record<string, number | string>>): Promise<void> {
    const path = adminSocketPath(directory, 'ztunnel', name) ?? '';
    const endpoint = await HttpEndpoint.start({
      name: 'admin',
      listen: [{ kind: 'unix', path }],
      logger: silentLogger,
      routes: [
        {
          method: 'POST',
          path: '/connections/close-older',
          summary: '',
          handle: ({ query }) => {
            const answer = pods[query.get('pod') ?? ''] ?? 'this node has no such pod';
            if (typeof answer === 'string') return jsonResponse({ message: answer }, 404);
            return jsonResponse({ closed: answer });
          },
        },
      ],
    });
    endpoints.push(endpoint);
    await registerProcess(directory, {
      kind: 'ztunnel',
      name,
      pid: process.pid,
      startedMs: 0,
      adminSocket: path,
    });
  }

  async function culvert(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const terminal = recordedTerminal({ CULVERT_RUN_DIRECTORY: directory });
    const code = await run(args, terminal);
    return { code, out: terminal.out(), err: terminal.err() };
  }

  it('asks the node that has the pod, and says how many', async () => {
    await pretend('node1', {});
    await pretend('node2', { 'shop/cart': 12, 'shop/one': 1 });

    assert.deepEqual(await culvert('close-older', 'shop/cart'), {
      code: 0,
      out: 'closed 12 connections older than capture\n',
      err: '',
    });
    assert.match((await culvert('close-older', 'shop/one')).out, /^closed 1 connection older/);
    const { out } = await culvert('close-older', 'shop/cart', '-o', 'json');
    assert.deepEqual(JSON.parse(out), { pod: 'shop/cart', ztunnel: 'node2', closed: 12 });
  });

  it('says what the nodes do not know, and what they do not capture', async () => {
    await pretend('node1', {});
    await pretend('node2', { 'shop/cart': 'shop/cart is not captured' });

    const unknown = await culvert('close-older', 'shop/crat');
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /no such pod; `culvert status` lists the pods/);
    assert.match((await culvert('close-older', 'shop/cart')).err, /is not captured/);
  });

  it('ends with exit code 3 where nothing runs', async () => {
    assert.equal((await culvert('close-older', 'shop/cart')).code, 3);
  });
});
