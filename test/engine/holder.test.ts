// The program that keeps listeners, with children that are not ztunnels.
import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { holderPath } from '../../src/engine/addon.ts';
import { eventually } from '../support/eventually.ts';

const program = fileURLToPath(new URL('../support/holder-child.py', import.meta.url));

interface Said {
  readonly pid: number;
  readonly serves?: readonly number[];
  readonly held?: readonly string[] | number;
  readonly [what: string]: unknown;
}

/** A holder with what its children say and what it logs. */
class Holder {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<number | null>;
  readonly said: Said[] = [];
  log = '';

  constructor(args: readonly string[]) {
    this.process = spawn(holderPath(), args, { stdio: 'pipe' });
    this.ended = once(this.process, 'exit').then(([code]) => code as number | null);
    createInterface({ input: this.process.stdout }).on('line', (line) =>
      this.said.push(JSON.parse(line) as Said),
    );
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text));
  }

  /** The number `count` thing that a child said, from 1. */
  async heard(count: number): Promise<Said> {
    await eventually(`its children have said ${count} things`, () => this.said.length >= count, 10_000);
    return this.said[count - 1] as Said;
  }

  async close(): Promise<void> {
    this.process.kill('SIGTERM');
    const late = setTimeout(() => {
      for (const { pid } of this.said) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    }, 1000);
    await this.ended;
    clearTimeout(late);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** What a listener says to who connects. */
async function ask(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => (text += data));
  socket.setTimeout(8000, () => socket.destroy());
  await once(socket, 'close');
  return text;
}

describe('a holder', function () {
  this.timeout(20_000);
  let holder: Holder | undefined;
  const start = (scenario: string): Holder =>
    (holder = new Holder(['--log-format=json', '--', 'python3', program, scenario]));
  afterEach(async () => {
    await holder?.close();
    holder = undefined;
  });

  it('keeps the listeners of a child that is killed: who connects meanwhile is served by the next', async () => {
    const running = start('keeping');
    const first = await running.heard(1);
    const port = first.serves?.[1] ?? 0;

    process.kill(first.pid, 'SIGKILL');
    await eventually('it is gone', () => !isAlive(first.pid));
    const answer = ask(port);
    const second = await running.heard(2);

    assert.deepEqual(second.held, ['one', 'two']);
    assert.deepEqual(second['notes'], ['of one', 'of two']);
    assert.equal(second['restarts'], 1);
    assert.equal(await answer, `from ${second.pid}`);
  });

  it('closes the listeners that are dropped, and only if the namespace is the one', async () => {
    const running = start('keeping');
    process.kill((await running.heard(1)).pid, 'SIGKILL');
    process.kill((await running.heard(2)).pid, 'SIGKILL');

    assert.deepEqual((await running.heard(2)).held, ['one', 'two']);
    assert.deepEqual((await running.heard(3)).held, ['one']);
  });

  it('is not moved by messages that make no sense, and loses no descriptor to them', async () => {
    const running = start('hostile');

    const said = await running.heard(1);

    assert.deepEqual(said.held, ['end']);
    assert.equal(said['more'], 3);
    await eventually('it is started again', () => running.log.includes('1 pods wait'));
    const complaints = running.log.split('\n').filter((line) => line.includes('was dropped'));
    assert.ok(complaints.length > 0 && complaints.length <= 10, `${complaints.length} lines about it`);
    // Sanitizers have a word of their own to say.
    const lines = running.log
      .trim()
      .split('\n')
      .filter((line) => !/^==\d+==/.test(line));
    for (const line of lines) JSON.parse(line);
  });

  it('keeps so many pods and no more', async () => {
    const said = await start('many').heard(1);

    assert.equal(said.held, said['most']);
  });

  it('replaces its child at SIGHUP: the old one goes on until the new one serves', async () => {
    const running = start('replaced');
    const old = await running.heard(1);
    assert.equal(old['predecessor'], 0);
    await eventually('it serves', () => running.log.includes('serves 1 pods'));

    running.process.kill('SIGHUP');
    const successor = await running.heard(2);
    const told = await running.heard(3);

    assert.deepEqual(successor.held, ['one']);
    assert.equal(successor['predecessor'], 1);
    assert.deepEqual(told, { pid: old.pid, heard: 18 });
    assert.ok(isAlive(old.pid) && isAlive(successor.pid));
  });

  it('tells the child that serves when its successor has failed', async () => {
    const running = start('failing-successor');

    assert.deepEqual((await running.heard(1))['heard'], [19, 20]);
    assert.equal(running.process.exitCode, null);
  });

  it('waits longer and longer where children die at once, and not for long', async () => {
    const running = start('dying');

    await eventually('six have died', () => running.log.split('killed by signal 9').length > 6, 15_000);

    const pauses = [...running.log.matchAll(/started in (\d+) ms/g)].map(([, ms]) => Number(ms));
    assert.deepEqual(pauses.slice(0, 6), [0, 100, 200, 400, 800, 1600]);
  });

  it('ends as its child does if that never came up', async () => {
    assert.equal(await start('ends-with-seven').ended, 7);
  });

  it('passes SIGTERM on and ends with the status of its child', async () => {
    const running = start('until-told');
    await running.heard(1);

    running.process.kill('SIGTERM');

    assert.equal(await running.ended, 5);
  });

  it('says what is wrong with its command line, and with the program that it cannot start', async () => {
    assert.equal(await new Holder([]).ended, 2);
    assert.equal(await new Holder(['--nonsense', 'true']).ended, 2);
    assert.equal(await new Holder(['/no/such/program']).ended, 127);
  });
});
