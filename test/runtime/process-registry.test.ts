import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProcessRecord } from '../../src/runtime/process-registry.ts';
import { adminSocketPath, listProcesses, registerProcess } from '../../src/runtime/process-registry.ts';

describe('the registry of processes', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-run-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const record = (overrides: Partial<ProcessRecord> = {}): ProcessRecord => ({
    kind: 'ztunnel',
    name: 'node1',
    pid: process.pid,
    startedMs: 0,
    adminSocket: join(directory, 'ztunnel-node1.sock'),
    ...overrides,
  });

  it('lists what runs, by kind and name, until it has ended', async () => {
    const remove = await registerProcess(directory, record());
    await registerProcess(directory, record({ kind: 'controller', name: 'c' }));

    const names = (await listProcesses(directory)).map(({ kind, name }) => `${kind} ${name}`);
    assert.deepEqual(names, ['controller c', 'ztunnel node1']);
    await remove();

    assert.equal((await listProcesses(directory)).length, 1);
  });

  it('leaves out a process that died without removing its record', async () => {
    const dead = spawnSync(process.execPath, ['--version']).pid;
    await registerProcess(directory, record({ pid: dead }));

    assert.deepEqual(await listProcesses(directory), []);
  });

  it('leaves the record of a successor alone', async () => {
    const remove = await registerProcess(directory, record({ pid: 1 }));
    await registerProcess(directory, record());

    await remove();

    assert.equal((await listProcesses(directory))[0]?.pid, process.pid);
  });

  it('ignores what is not a record, and a directory that is not there', async () => {
    await writeFile(join(directory, 'half.json'), '{"kind": "ztun');
    await writeFile(join(directory, 'other.json'), '{"id": "cv1234"}');

    assert.deepEqual(await listProcesses(directory), []);
    assert.deepEqual(await listProcesses(join(directory, 'none')), []);
  });

  it('keeps names from leaving the directory', async () => {
    await registerProcess(directory, record({ name: '../../etc/passwd' }));

    assert.deepEqual(await readdir(directory), ['ztunnel-.._.._etc_passwd.json']);
  });

  it('has no socket path where it would be too long for one', () => {
    assert.equal(adminSocketPath('/run/culvert', 'ztunnel', 'node1'), '/run/culvert/ztunnel-node1.sock');
    assert.equal(adminSocketPath(`/${'x'.repeat(100)}`, 'ztunnel', 'node1'), undefined);
  });
});
