import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { DirectoryPodSource } from '../../../src/ztunnel/pods/directory-source.ts';
import type { PodSession, PodState } from '../../../src/ztunnel/pods/pod-source.ts';
import { SocketPodSource } from '../../../src/ztunnel/pods/socket-source.ts';
import { eventually } from '../../support/eventually.ts';

/** Writes down what a source says. */
class Recorder implements PodSession {
  readonly said: string[] = [];
  state: PodState = { phase: 'waiting', detail: '' };

  add(pod: { readonly uid: string; readonly netns: string }): PodState {
    this.said.push(`add ${pod.uid} ${pod.netns}`);
    return this.state;
  }

  keep(uid: string): void {
    this.said.push(`keep ${uid}`);
  }

  remove(uid: string): void {
    this.said.push(`remove ${uid}`);
  }

  snapshot(): void {
    this.said.push('snapshot');
  }

  settled(): Promise<PodState> {
    return Promise.resolve(this.state);
  }
}

const pod = { uid: 'u1', namespace: 'shop', name: 'cart', netns: '/run/netns/cart' };

describe('the pod socket', () => {
  let directory: string;
  let path: string;
  let recorder: Recorder;
  let source: SocketPodSource;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-socket-'));
    path = join(directory, 'pods.sock');
    recorder = new Recorder();
    source = new SocketPodSource({ path, logger: silentLogger });
    await source.start(() => recorder);
  });
  afterEach(async () => {
    await source.close();
    rmSync(directory, { recursive: true });
  });

  async function ask(...lines: readonly string[]): Promise<{ ok: boolean; [key: string]: unknown }[]> {
    const socket = connect(path);
    socket.end(lines.map((line) => `${line}\n`).join(''));
    const answers: { ok: boolean }[] = [];
    for await (const line of createInterface({ input: socket }))
      answers.push(JSON.parse(line) as { ok: boolean });
    return answers;
  }

  it('takes no line that is too long, though it comes in one piece with its end', async () => {
    const socket = connect(path);
    const long = JSON.stringify({ op: 'delete', uid: 'u1', ' ': 'x'.repeat(20_000) });
    socket.end(`${long}\n{"op":"snapshot"}\n`);
    const answers: string[] = [];
    for await (const line of createInterface({ input: socket })) answers.push(line);

    assert.equal(answers.length, 1);
    assert.match(answers[0] ?? '', /a line exceeds 16384 bytes/);
    assert.deepEqual(recorder.said, []);
  });

  it('answers each request in order', async () => {
    const answers = await ask(
      JSON.stringify({ op: 'add', ...pod }),
      JSON.stringify({ op: 'keep', uid: 'u2' }),
      JSON.stringify({ op: 'delete', uid: 'u3' }),
      JSON.stringify({ op: 'snapshot' }),
    );

    assert.deepEqual(answers, [
      { ok: true, phase: 'waiting', detail: '' },
      { ok: true },
      { ok: true },
      { ok: true },
    ]);
    assert.deepEqual(recorder.said, ['add u1 /run/netns/cart', 'keep u2', 'remove u3', 'snapshot']);
  });

  it('answers an add that waits with an error if the pod is not captured in time', async () => {
    const [answer] = await ask(JSON.stringify({ op: 'add', ...pod, waitMs: 1 }));

    assert.equal(answer?.['code'], 'ERR_CULVERT_POD_NOT_READY');
  });

  const bad: [string, string][] = [
    ['what is not JSON', '{'],
    ['what is no object', '["snapshot"]'],
    ['nothing', 'null'],
    ['a field that is no text', '{"op":"keep","uid":1}'],
    ['a name that is empty', JSON.stringify({ op: 'add', ...pod, name: '' })],
    ['a wait that is a fraction', JSON.stringify({ op: 'add', ...pod, waitMs: 0.5 })],
    ['an unknown operation', '{"op":"format"}'],
    ['a missing field', '{"op":"add","uid":"u1"}'],
    ['an unknown field', '{"op":"keep","uid":"u1","x":1}'],
    ['a uid that is a path', '{"op":"keep","uid":"../../etc"}'],
    ['a namespace path that is relative', JSON.stringify({ op: 'add', ...pod, netns: 'proc/1/ns/net' })],
    ['a wait without end', JSON.stringify({ op: 'add', ...pod, waitMs: 1e9 })],
  ];
  for (const [name, line] of bad)
    it(`refuses ${name} and goes on`, async () => {
      const answers = await ask(line, '{"op":"snapshot"}');

      assert.equal(answers[0]?.['code'], 'ERR_CULVERT_POD_REQUEST');
      assert.equal(answers[1]?.ok, true);
      assert.deepEqual(recorder.said, ['snapshot']);
    });

  it('ends a connection whose line does not end', async () => {
    const answers = await ask('x'.repeat(40_000));

    assert.equal(answers[0]?.['code'], 'ERR_CULVERT_POD_REQUEST');
  });

  it('is for root alone', () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('is not taken from another process that listens', async () => {
    const second = new SocketPodSource({ path, logger: silentLogger });

    await assert.rejects(
      second.start(() => recorder),
      { code: 'ERR_CULVERT_POD_SOURCE' },
    );
    assert.equal((await ask('{"op":"snapshot"}'))[0]?.ok, true);
  });
});

describe('the pods directory', () => {
  let directory: string;
  let recorder: Recorder;
  let source: DirectoryPodSource;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-directory-'));
    recorder = new Recorder();
    source = new DirectoryPodSource({
      path: directory,
      logger: silentLogger,
      clock: systemClock,
      settleMs: 1,
    });
  });
  afterEach(async () => {
    await source.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function put(name: string, content: string): void {
    writeFileSync(join(directory, `.${name}`), content);
    renameSync(join(directory, `.${name}`), join(directory, name));
  }

  it('names what is there, then what comes and goes', async () => {
    put('a.json', JSON.stringify(pod));
    await source.start(() => recorder);
    assert.deepEqual(recorder.said, ['add u1 /run/netns/cart', 'snapshot']);

    put('b.json', JSON.stringify({ ...pod, uid: 'u2' }));
    await eventually('the second pod', () => recorder.said.includes('add u2 /run/netns/cart'));
    rmSync(join(directory, 'a.json'));
    await eventually('the first is gone', () => recorder.said.includes('remove u1'));
  });

  it('keeps a pod whose file was broken, and takes the others', async () => {
    put('a.json', JSON.stringify(pod));
    await source.start(() => recorder);

    put('a.json', '{"uid":');
    put('b.json', JSON.stringify({ ...pod, uid: 'u2' }));
    await eventually('the second pod', () => recorder.said.includes('add u2 /run/netns/cart'));

    assert.ok(recorder.said.includes('keep u1'));
    assert.equal(recorder.said.includes('remove u1'), false);
  });

  it('that does not exist is an error at the start', async () => {
    const missing = new DirectoryPodSource({
      path: join(directory, 'nowhere'),
      logger: silentLogger,
      clock: systemClock,
    });

    await assert.rejects(
      missing.start(() => recorder),
      { code: 'ERR_CULVERT_POD_SOURCE' },
    );
  });
});
