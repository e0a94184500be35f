// Where the log goes may fail: the process goes on, and says later what it left out.
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { LogOutput } from '../../src/runtime/log-output.ts';
import type { LogReport } from '../support/log-writer.ts';
import { requireRoot } from '../support/netns.ts';

const bytesMax = 1024 * 1024;

describe('the output of the log', () => {
  type Send = ConstructorParameters<typeof LogOutput>[0]['send'];
  const taken: string[] = [];
  const pending: { bytes: Buffer; done: Parameters<Send>[1] }[] = [];
  const send: Send = (bytes, done) => void pending.push({ bytes, done });
  const answer = (error: Error | null, count?: number): void => {
    const next = pending.shift();
    assert.ok(next, 'nothing is being written');
    if (error === null) taken.push(next.bytes.subarray(0, count ?? next.bytes.length).toString());
    next.done(error, count ?? next.bytes.length);
  };
  beforeEach(() => {
    taken.length = 0;
    pending.length = 0;
  });

  it('writes one piece at a time, and the lines of meanwhile together', () => {
    const output = new LogOutput({ send });

    for (const line of ['a\n', 'b\n', 'c\n']) output.write(line);
    assert.equal(pending.length, 1);
    answer(null);
    answer(null);

    assert.deepEqual(taken, ['a\n', 'b\nc\n']);
    assert.equal(output.waitingBytes, 0);
  });

  it('goes on where a piece was cut', () => {
    const output = new LogOutput({ send });
    output.write('abcdef\n');

    answer(null, 2);
    answer(null);

    assert.equal(taken.join(''), 'abcdef\n');
  });

  it('holds what fits, drops what comes after, and tells of it once it can', () => {
    const output = new LogOutput({ send, bytesMax: 13 });
    output.onRecovered = (lines) => output.write(`lost ${lines}\n`);

    for (const line of ['123456\n', '5678\n', 'drop\n', 'drop\n']) output.write(line);
    assert.equal(output.waitingBytes, 12);
    while (pending.length > 0) answer(null);

    assert.deepEqual([output.dropped, taken.join('')], [2, '123456\n5678\nlost 2\n']);
  });

  it('keeps a piece that could not be written and tries again', async () => {
    const output = new LogOutput({ send, retryMs: 1 });
    output.write('kept\n');

    answer(new Error('ENOSPC'));
    while (pending.length === 0) await new Promise((done) => setImmediate(done));
    answer(null);

    assert.deepEqual(taken, ['kept\n']);
  });

  it('waits for the last lines no longer than it is told', async () => {
    const output = new LogOutput({ send });
    output.write('stalled\n');

    await output.flush(1);

    assert.equal(output.waitingBytes, 8);
  });
});

describe('a process whose log', function () {
  this.timeout(30_000);
  type Writer = ChildProcessByStdio<Writable, Readable, Readable | null>;
  let directory: string;
  let writer: Writer | undefined;
  let reports: AsyncIterator<string> | undefined;

  function start(stderr: 'pipe' | number): Writer {
    const script = resolve(import.meta.dirname, '../support/log-writer.ts');
    const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', stderr] }) as Writer;
    writer = child;
    reports = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return child;
  }

  async function log(lines: number, bytes: number): Promise<LogReport> {
    writer?.stdin.write(`${lines} ${bytes}\n`);
    const next = await reports?.next();
    assert.equal(next?.done, false, 'the process has ended');
    const report = JSON.parse(next.value) as LogReport;
    assert.ok(report.waitingBytes <= bytesMax, `${report.waitingBytes} bytes wait`);
    return report;
  }

  async function ends(child: Writer): Promise<void> {
    child.stdin.end();
    if (child.exitCode === null) await once(child, 'exit');
    assert.equal(child.exitCode, 0);
  }

  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'culvert-log-'))));
  afterEach(() => {
    writer?.kill('SIGKILL');
    spawnSync('umount', [directory], { stdio: 'ignore' });
    rmSync(directory, { recursive: true, force: true });
  });

  it('is a pipe that nobody reads goes on, holds a bounded number of bytes, and tells of the rest later', async () => {
    const child = start('pipe');
    const stalled = await log(5000, 1000);
    assert.ok(stalled.dropped > 3000, `${stalled.dropped} dropped`);
    assert.ok(stalled.longestTurnMs < 1000, `a turn of ${stalled.longestTurnMs} ms`);

    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (part: string) => (text += part));
    while (!text.includes('log lines were dropped')) await once(child.stderr ?? child, 'data');

    const [told] = text.split('\n').filter((line) => line.includes('log lines were dropped'));
    assert.equal((JSON.parse(told ?? '') as { lines: number }).lines, stalled.dropped);
    await ends(child);
  });

  it('is a pipe that nobody reads ends all the same', async () => {
    const child = start('pipe');
    await log(5000, 1000);

    await ends(child);
  });

  it('is a pipe whose reader is gone goes on', async () => {
    const child = start('pipe');
    child.stderr?.destroy();

    await log(2000, 1000);
    const report = await log(2000, 1000);

    assert.ok(report.dropped > 2000, `${report.dropped} dropped`);
    await ends(child);
  });

  it('is on a device without space goes on', async () => {
    const fd = openSync('/dev/full', 'w');
    const child = start(fd);
    closeSync(fd);

    const report = await log(3000, 1000);

    assert.ok(report.dropped > 1500, `${report.dropped} dropped`);
    await ends(child);
  });

  it('is on a full disk goes on, and tells of the lost lines when there is space', async function () {
    requireRoot(this);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'culvert-log', directory]);
    assert.equal(mounted.status, 0, String(mounted.stderr));
    const ballast = join(directory, 'ballast');
    spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k', 'count=200', 'status=none']);
    const path = join(directory, 'log');
    const fd = openSync(path, 'a');
    const child = start(fd);
    closeSync(fd);

    const full = await log(3000, 1000);
    assert.ok(full.dropped > 1500, `${full.dropped} dropped`);
    rmSync(ballast);
    spawnSync('mount', ['-o', 'remount,size=8m', directory]);
    while (!readFileSync(path, 'utf8').includes('log lines were dropped'))
      await new Promise((done) => setTimeout(done, 20));

    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    const told = lines.map((line) => JSON.parse(line) as { lines?: number; line?: number });
    assert.equal(told.find((line) => line.lines !== undefined)?.lines, full.dropped);
    const written = told.filter((line) => line.line !== undefined).length;
    assert.equal(written, 3000 - full.dropped, 'each line is there or counted');
    await ends(child);
  });
});
