import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/cli/main.ts';
import type { ControllerReport, WhyReport, ZtunnelReport } from '../../src/cli/reports.ts';
import { jsonResponse } from '../../src/runtime/admin-server.ts';
import { HttpEndpoint } from '../../src/runtime/http-endpoint.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { adminSocketPath, registerProcess } from '../../src/runtime/process-registry.ts';
import { recordedTerminal } from '../support/terminal.ts';

// Made for each test: the tests before may have taken their time since this file was read.
const makeZtunnel = (): ZtunnelReport => ({
  node: 'node1',
  version: '0.1.0',
  startedMs: Date.now() - 9_001_000,
  ready: true,
  pending: [],
  xds: { connected: true, address: '10.0.0.1:15012', resources: { address: 12 }, nacks: 0 },
  pods: [
    {
      uid: 'u1',
      name: 'frontend',
      namespace: 'shop',
      addresses: ['10.0.1.2'],
      identity: 'spiffe://cluster.local/ns/shop/sa/frontend',
      phase: 'running',
      detail: '',
      captured: true,
      adopted: false,
      connections: 3,
      faults: [],
      olderConnections: 12,
      capture: { outbound_captured: 40, guard_dropped: 2, assign_failed: 0 },
    },
  ],
  certificates: [
    {
      identity: 'spiffe://cluster.local/ns/shop/sa/frontend',
      state: 'valid',
      notAfterMs: Date.now() + 86_400_000,
    },
  ],
  counters: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`a_long_counter_${i}`, i])),
  limits: {},
});

const makeController = (): ControllerReport => ({
  version: '0.1.0',
  startedMs: Date.now() - 9_001_000,
  ready: true,
  pending: [],
  objects: { Pod: 6, Service: 3 },
  problems: [],
  clients: [{ name: 'node1', connectedMs: Date.now() - 1000 }],
  roots: [],
});

const denied: WhyReport = {
  allowed: false,
  steps: [
    { step: 'source', outcome: 'shop/frontend on node1' },
    { step: 'policy', outcome: 'denied by a rule', object: 'AuthorizationPolicy shop/cart' },
  ],
};

describe('status and why', () => {
  let directory: string;
  let endpoints: HttpEndpoint[];
  let ztunnel: ZtunnelReport;
  let controller: ControllerReport;
  beforeEach(async () => {
    [ztunnel, controller] = [makeZtunnel(), makeController()];
    directory = await mkdtemp(join(tmpdir(), 'culvert-status-'));
    endpoints = [];
  });
  afterEach(async () => {
    for (const endpoint of endpoints) await endpoint.close();
    await rm(directory, { recursive: true });
  });

  /** Puts a process's admin endpoint into the run directory, as runDaemon does. */
  async function pretend(
    kind: 'controller' | 'ztunnel',
    name: string,
    answers: Readonly<Record<string, (query: URLSearchParams) => unknown>>,
  ): Promise<HttpEndpoint> {
    const path = adminSocketPath(directory, kind, name) ?? '';
    const endpoint = await HttpEndpoint.start({
      name: 'admin',
      listen: [
        { kind: 'unix', path },
        { kind: 'tcp', host: '127.0.0.1', port: 0 },
      ],
      logger: silentLogger,
      routes: Object.entries(answers).map(([route, answer]) => ({
        method: 'GET' as const,
        path: route,
        summary: '',
        handle: ({ query }) => {
          const value = answer(query);
          if (value instanceof Error) return jsonResponse({ message: value.message }, 404);
          return value === undefined ? { status: 404, body: '' } : jsonResponse(value);
        },
      })),
    });
    endpoints.push(endpoint);
    await registerProcess(directory, { kind, name, pid: process.pid, startedMs: 0, adminSocket: path });
    return endpoint;
  }

  async function culvert(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const terminal = recordedTerminal({ CULVERT_RUN_DIRECTORY: directory });
    const code = await run(args, terminal);
    return { code, out: terminal.out(), err: terminal.err() };
  }

  it('say with exit code 3 that nothing runs, and what to do', async () => {
    for (const args of [['status'], ['why', 'shop/a', 'shop/b']]) {
      const { code, err } = await culvert(...args);
      assert.equal(code, 3);
      assert.match(err, /no controller and no ztunnel run here .*culvert playground/);
    }
  });

  it('show what runs in lines that fit 80 columns', async () => {
    await pretend('controller', 'controller', { '/status': () => controller });
    await pretend('ztunnel', 'node1', { '/status': () => ztunnel });

    const { code, out } = await culvert('status');

    assert.equal(code, 0);
    assert.match(out, /^controller controller +ready +2h30m +9 objects, 1 client$/m);
    assert.match(out, /^ztunnel node1 +ready +2h30m +1 of 1 pods captured, xds connected$/m);
    assert.match(out, /^ {2}shop\/frontend +10\.0\.1\.2 +yes +12$/m);
    assert.match(out, /^ {2}shop\/frontend: 12 connections are older than capture/m);
    assert.match(out, /`culvert\s+close-older\s+shop\/frontend`/);
    assert.match(out, /^ {2}capture: outbound_captured 40, guard_dropped 2$/m);
    assert.match(out, /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/frontend +valid +23h59m/);
    for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
  });

  it('exit with 1 and name what is wrong', async () => {
    const pod = { ...ztunnel.pods[0], captured: false, faults: ['rule 60 is missing'] };
    await pretend('ztunnel', 'node1', {
      '/status': () => ({ ...ztunnel, ready: false, pending: ['xds (refused)'], pods: [pod] }),
    });

    const { code, out } = await culvert('status');

    assert.equal(code, 1);
    assert.match(out, /waiting for xds \(refused\)/);
    assert.match(out, /shop\/frontend: rule 60 is missing/);
  });

  it('answer machines in JSON', async () => {
    await pretend('ztunnel', 'node1', { '/status': () => ztunnel });

    const { code, out } = await culvert('status', '-o', 'json');

    assert.equal(code, 0);
    const answer = JSON.parse(out) as { healthy: boolean; processes: { ztunnel: ZtunnelReport }[] };
    assert.equal(answer.healthy, true);
    assert.deepEqual(answer.processes[0]?.ztunnel, ztunnel);
  });

  it('tell a process that is silent from one that is well', async () => {
    await pretend('controller', 'controller', { '/status': () => controller });
    const silent = await pretend('ztunnel', 'node1', { '/status': () => ztunnel });
    await silent.close();

    const { code, out } = await culvert('status');

    assert.equal(code, 1);
    assert.match(out, /^ztunnel node1 +silent/m);
    assert.match(out, /no answer from .*ztunnel-node1\.sock/);
  });

  it('explain a connection by asking the node of its source', async () => {
    await pretend('ztunnel', 'node1', { '/why': () => undefined });
    await pretend('ztunnel', 'node2', {
      '/why': (query) =>
        query.get('source') === 'shop/frontend' && query.get('destination') === 'shop/cart:80'
          ? denied
          : undefined,
    });

    const { code, out } = await culvert('why', 'shop/frontend', 'shop/cart:80');

    assert.equal(code, 1);
    assert.match(out, /^policy {2}denied by a rule\n +by AuthorizationPolicy shop\/cart$/m);
    assert.match(out, /denied\n$/);
  });

  it('ask the node of the source first, since the others see less', async () => {
    const report = (outcome: string): WhyReport => ({ allowed: true, steps: [{ step: 'capture', outcome }] });
    await pretend('ztunnel', 'node1', {
      '/status': () => ({ ...ztunnel, pods: [] }),
      '/why': () => report('runs elsewhere'),
    });
    await pretend('ztunnel', 'node2', { '/status': () => ztunnel, '/why': () => report('captured here') });

    assert.match((await culvert('why', 'shop/frontend', 'shop/cart')).out, /captured here/);
    assert.match((await culvert('why', '10.0.1.2', 'shop/cart')).out, /captured here/);
  });

  it('say what the nodes do not know', async () => {
    await pretend('ztunnel', 'node1', { '/why': () => new Error('no workload is named shop/nobody') });

    const { code, err } = await culvert('why', 'shop/nobody', 'shop/cart');

    assert.equal(code, 2);
    assert.match(err, /no workload is named shop\/nobody; `culvert status` lists the pods/);
  });

  it('ask the one ztunnel that is named, by port or by socket', async () => {
    const endpoint = await pretend('ztunnel', 'node1', { '/why': () => ({ ...denied, allowed: true }) });
    const socket = adminSocketPath(directory, 'ztunnel', 'node1') ?? '';

    for (const address of [`127.0.0.1:${endpoint.port}`, socket]) {
      const { code, out } = await culvert('why', 'a', 'b', '--ztunnel', address, '-o', 'json');
      assert.equal(code, 0);
      assert.equal((JSON.parse(out) as WhyReport).allowed, true);
    }
  });
});
