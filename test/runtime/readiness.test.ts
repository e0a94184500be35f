import assert from 'node:assert/strict';
import { Readiness } from '../../src/runtime/readiness.ts';

describe('readiness', () => {
  it('lists what it waits for and is there when all is done', async () => {
    const readiness = new Readiness();
    const xds = readiness.task('xds', 'not connected');
    const pods = readiness.task('pods');
    assert.deepEqual(readiness.pending, ['xds (not connected)', 'pods']);
    const ready = readiness.whenReady();

    xds.done();
    assert.equal(readiness.ready, false);
    pods.done();

    await ready;
    assert.equal(readiness.ready, true);
  });

  it('can be lost again', () => {
    const readiness = new Readiness();
    const certificates = readiness.task('certificates');
    certificates.done();

    certificates.wait('expired');

    assert.equal(readiness.ready, false);
    assert.deepEqual(readiness.pending, ['certificates (expired)']);
  });

  it('asks those that know themselves', () => {
    const readiness = new Readiness();
    let waiting = ['policies.yaml is not YAML'];
    readiness.check('manifests', () => waiting);

    assert.deepEqual(readiness.pending, ['manifests (policies.yaml is not YAML)']);
    waiting = [];
    assert.equal(readiness.ready, true);
  });

  it('stops waiting when the waiter gives up', async () => {
    const readiness = new Readiness();
    readiness.task('xds');
    const stop = new AbortController();

    const ready = readiness.whenReady(stop.signal);
    stop.abort(new Error('gave up'));

    await assert.rejects(ready, /gave up/);
    await assert.rejects(readiness.whenReady(stop.signal), /gave up/);
  });
});
