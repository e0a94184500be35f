// What a playground that crashed has left is removed by the next one; what lives is not touched. Needs root.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { takeInventory, leftBehind } from '../../src/playground/check/leftovers.ts';
import { execCaptured } from '../../src/playground/exec.ts';
import { enter } from '../../src/playground/process.ts';
import type { RunState } from '../../src/playground/run-directory.ts';
import {
  liveRuns,
  openRun,
  removeDeadRuns,
  removeRun,
  runDirectory,
} from '../../src/playground/run-directory.ts';
import { createNetwork, namespaces, processesIn } from '../../src/playground/topology/network.ts';
import { netnsName, planNetwork } from '../../src/playground/topology/plan.ts';
import { requireRoot } from '../support/mesh.ts';

const pods = [{ name: 'only', node: 'n1', addresses: ['10.244.1.11', 'fd00:10:244:1::11'] }];

describe('a playground that crashed', function () {
  this.timeout(30_000);
  before(function () {
    requireRoot(this);
  });

  /** A run as it stands after its owner was killed: network, names, and a program in a pod that ignores SIGTERM. */
  async function crash(): Promise<{ state: RunState; pid: number }> {
    const state = await openRun((id) => ({
      netns: ['router', 'n1', 'only'].map((member) => netnsName(id, member)),
      directories: [],
    }));
    await createNetwork(planNetwork(state.id, ['n1'], pods));
    const netns = netnsName(state.id, 'only');
    await mkdir(`/etc/netns/${netns}`, { recursive: true });
    await writeFile(`/etc/netns/${netns}/hosts`, '10.96.0.10 shop\n');
    const [file, ...args] = enter(netns, 'pod', [
      'sh',
      '-c',
      'trap "" TERM; echo up; while :; do sleep 0.1; done',
    ]);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    await once(child.stdout, 'data');
    const gone = spawn('true');
    await once(gone, 'exit');
    const dead: RunState = { ...state, ownerPid: gone.pid ?? 0, ownerStartTicks: '1' };
    await writeFile(join(runDirectory(state.id), 'state.json'), JSON.stringify(dead));
    return { state: dead, pid: child.pid ?? 0 };
  }

  it('is removed: processes, namespaces, names and directory, and nothing else changes', async () => {
    const before = await takeInventory();
    const { state, pid } = await crash();
    assert.ok((await processesIn(state.netns)).includes(pid));

    const removed = await removeDeadRuns();

    assert.ok(removed.includes(state.id));
    assert.deepEqual(leftBehind(before, await takeInventory()), []);
    await assert.rejects(stat(`/proc/${pid}`));
  });

  it('does not drag a living one along', async () => {
    const living = await openRun((id) => ({ netns: [netnsName(id, 'router')], directories: [] }));
    try {
      await createNetwork(planNetwork(living.id, [], []));

      await removeDeadRuns();

      assert.ok((await namespaces()).includes(netnsName(living.id, 'router')));
      assert.ok((await liveRuns()).some(({ id }) => id === living.id));
    } finally {
      await removeRun(living);
    }
  });

  it('is removed even if its namespaces were never made', async () => {
    const state = await openRun((id) => ({ netns: [netnsName(id, 'router')], directories: [] }));

    await removeRun(state);
    await removeRun(state);

    await assert.rejects(readFile(join(runDirectory(state.id), 'state.json')));
  });
});

describe('a playground whose terminal is closed', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('removes itself', async () => {
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, 'playground'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'exit');
    let id: string | undefined;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      id ??= /namespaces (\w+)-/.exec(text)?.[1];
    });
    await once(child.stdout, 'data');

    child.stdout.destroy();
    child.stderr.destroy();

    assert.equal((await ended)[0], 0);
    assert.ok(id !== undefined);
    assert.deepEqual(
      (await namespaces()).filter((name) => name.startsWith(`${id}-`)),
      [],
    );
    await assert.rejects(stat(runDirectory(id)));
  });
});

describe('a command in a pod', function () {
  this.timeout(30_000);
  let state: RunState;
  before(async function () {
    requireRoot(this);
    state = await openRun((id) => ({
      netns: ['router', 'n1', 'only'].map((member) => netnsName(id, member)),
      directories: [],
    }));
    await mkdir(`/etc/netns/${netnsName(state.id, 'only')}`, { recursive: true });
    await writeFile(`/etc/netns/${netnsName(state.id, 'only')}/hosts`, '10.96.0.10 shop\n');
    await createNetwork(planNetwork(state.id, ['n1'], pods));
  });
  after(async () => {
    if (state !== undefined) await removeRun(state);
  });
  const run = (command: readonly string[], timeoutMs = 5000) =>
    execCaptured(netnsName(state.id, 'only'), command, { timeoutMs, cwd: '/' });

  it('sees the pod by its own addresses and services by name', async () => {
    const addresses = await run(['ip', '-o', 'address', 'show', 'eth0']);
    const name = await run(['getent', 'hosts', 'shop']);

    assert.match(addresses.stdout, /10\.244\.1\.11\/32/);
    assert.match(addresses.stdout, /fd00:10:244:1::11\/128/);
    assert.match(name.stdout, /^10\.96\.0\.10/);
  });

  it('gives back its exit code and both outputs', async () => {
    const result = await run(['sh', '-c', 'echo out; echo err >&2; exit 7']);

    assert.deepEqual([result.code, result.stdout, result.stderr], [7, 'out\n', 'err\n']);
  });

  it('is ended with all it has started when its time is over', async () => {
    const result = await run(['sh', '-c', 'sleep 60 & sleep 60'], 200);

    assert.equal(result.code, null);
    assert.deepEqual(await processesIn([netnsName(state.id, 'only')]), []);
  });
});
