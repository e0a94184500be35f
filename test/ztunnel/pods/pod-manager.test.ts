import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ip } from '../../../src/mesh/address.ts';
import type { PodSettings } from '../../../src/mesh/pod-settings.ts';
import { noExclusions } from '../../../src/mesh/pod-settings.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { PodManager } from '../../../src/ztunnel/pods/pod-manager.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeCapture } from '../../support/fake-capture.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeEngine } from '../../support/fake-engine.ts';

const identity = 'spiffe://cluster.local/ns/shop/sa/cart';

function cartSettings(overrides: Partial<PodSettings> = {}): PodSettings {
  return {
    uid: 'test//Pod/shop/cart',
    namespace: 'shop',
    name: 'cart',
    serviceAccount: 'cart',
    trustDomain: 'cluster.local',
    enrolled: true,
    probePorts: [],
    nodeAddresses: [],
    exclusions: noExclusions,
    ...overrides,
  };
}

describe('a pod', () => {
  let directory: string;
  let engine: FakeEngine;
  let capture: FakeCapture;
  let clock: FakeClock;
  let settings: PodSettings | undefined;
  let certified: boolean;
  let connections: number;
  let used: string[];
  let manager: PodManager;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-pods-'));
    writeFileSync(join(directory, 'netns'), '');
    writeFileSync(join(directory, 'other-netns'), '');
    engine = new FakeEngine();
    clock = new FakeClock();
    settings = cartSettings();
    certified = true;
    connections = 0;
    used = [];
    start([]);
  });
  afterEach(() => {
    manager.close();
    rmSync(directory, { recursive: true });
  });

  function start(pins: readonly string[]): void {
    capture = new FakeCapture(pins);
    manager = new PodManager({
      engine,
      capture,
      clock,
      logger: silentLogger,
      settingsOf: (namespace, name) => (`${namespace}/${name}` === 'shop/cart' ? settings : undefined),
      certificates: {
        use: (each) => void used.push(each),
        release: (each) => void (used = used.filter((other) => other !== each)),
        has: () => certified,
      },
      openConnections: () => connections,
      podsMax: 2,
      drainMs: 1000,
      auditIntervalMs: 100,
      ipv6: true,
      meshIsKnown: () => true,
      nodeAddresses: [ip('10.0.0.254')],
    });
  }

  const announcement = (uid = 'u1', file = 'netns') => ({
    uid,
    namespace: 'shop',
    name: 'cart',
    netns: join(directory, file),
  });
  const phase = () => [...manager.views()][0]?.phase;
  const detail = () => [...manager.views()][0]?.detail;
  const becomes = (wanted: string | undefined) => eventually(`phase ${wanted}`, () => phase() === wanted);

  it('is captured once its settings and certificate are there', async () => {
    settings = undefined;
    certified = false;
    manager.session().add(announcement());
    await becomes('waiting');
    assert.equal(capture.attached.size, 0);

    settings = cartSettings({ nodeAddresses: [ip('10.0.0.253')] });
    manager.reconsider();
    await eventually('the certificate is asked for', () => used.length > 0);
    assert.equal(capture.attached.size, 0);
    certified = true;
    manager.reconsider();
    await becomes('running');

    assert.deepEqual(engine.pods.get('u1'), { tlsIdentity: identity, ipv6: true });
    assert.deepEqual(capture.attached.get('u1')?.nodeAddresses, ['10.0.0.253', '10.0.0.254']);
  });

  it('that opted out is left alone', async () => {
    settings = cartSettings({ enrolled: false });
    manager.session().add(announcement());

    await becomes('left_alone');

    assert.equal(capture.attached.size, 0);
    assert.deepEqual(used, []);
  });

  it('takes new probes and exclusions in place', async () => {
    manager.session().add(announcement());
    await becomes('running');

    settings = cartSettings({ probePorts: [8080] });
    manager.reconsider();

    await eventually('updated', () => capture.attached.get('u1')?.probePorts[0] === 8080);
  });

  it('stays captured when the controller no longer knows it', async () => {
    manager.session().add(announcement());
    await becomes('running');

    settings = undefined;
    manager.reconsider();
    await eventually('looked at', () => phase() === 'running');

    assert.ok(capture.attached.has('u1'));
  });

  it('that leaves the mesh is released, and detached when its last connection has ended', async () => {
    manager.session().add(announcement());
    await becomes('running');
    connections = 1;

    settings = cartSettings({ enrolled: false });
    manager.reconsider();
    await becomes('draining');
    assert.ok(capture.released.has('u1'));
    assert.deepEqual(engine.removals.at(-1), { podId: 'u1', drainMs: 1000 });
    connections = 0;
    manager.connectionClosed('u1');
    await becomes('left_alone');

    assert.equal(capture.attached.has('u1'), false);
    assert.deepEqual(used, []);
  });

  it('that is deleted drains without being released, and goes at the deadline', async () => {
    const session = manager.session();
    session.add(announcement());
    await becomes('running');
    connections = 1;

    session.remove('u1');
    await becomes('draining');
    assert.equal(capture.released.has('u1'), false);
    assert.ok(capture.attached.has('u1'), 'fails closed meanwhile');
    clock.advance(1000);
    await becomes(undefined);

    assert.equal(capture.attached.has('u1'), false);
    assert.deepEqual(used, []);
  });

  it('that comes back while it drains is captured again', async () => {
    const session = manager.session();
    session.add(announcement());
    await becomes('running');
    connections = 1;
    session.remove('u1');
    await becomes('draining');

    session.add(announcement());
    await becomes('running');
    clock.advance(5000);

    assert.ok(capture.attached.has('u1'));
    assert.ok(engine.pods.has('u1'));
  });

  it('with a new namespace is attached afresh', async () => {
    const session = manager.session();
    session.add(announcement());
    await becomes('running');
    const removals = engine.removals.length;

    session.add(announcement('u1', 'other-netns'));
    await eventually('detached', () => engine.removals.length > removals);
    await becomes('running');

    assert.ok(capture.attached.has('u1'));
  });

  it('whose capture fails is tried again, and nothing is left of the attempt', async () => {
    capture.failAttach = new Error('no table');
    manager.session().add(announcement());
    await becomes('failed');
    assert.equal(engine.pods.has('u1'), false);
    assert.equal([...manager.views()][0]?.detail, 'no table');

    capture.failAttach = undefined;
    clock.advance(30_000);

    await becomes('running');
  });

  it('whose capture was tampered with is mended by the audit', async () => {
    manager.session().add(announcement());
    await becomes('running');
    capture.faults.set('u1', [{ what: 'rule 50', detail: 'missing' }]);

    clock.advance(100);
    await eventually('mended', () => manager.mended === 1);

    assert.deepEqual([...manager.views()][0]?.faults, []);
  });

  it('whose listeners a drain has closed is not mended: they stay closed', async () => {
    manager.session().add(announcement());
    await becomes('running');
    clock.advance(100); // an audit is due
    manager.beginDrain();
    capture.faults.set('u1', [{ what: 'listener missing', detail: 'outbound' }]);

    clock.advance(1000);
    manager.reconsider();
    await eventually('looked at again', () => phase() === 'running');
    await new Promise(setImmediate);

    assert.equal(manager.mended, 0);
  });

  for (const [missing, arrives] of [
    ['settings', () => (settings = cartSettings())],
    ['certificate', () => (certified = true)],
  ] as const) {
    it(`whose ${missing} arrive${missing === 'settings' ? '' : 's'} after a drain began is not captured`, async () => {
      if (missing === 'settings') settings = undefined;
      else certified = false;
      manager.session().add(announcement());
      await becomes('waiting');

      manager.beginDrain();
      arrives();
      manager.reconsider();
      await eventually('the pod was looked at again', () => detail()?.includes('draining') === true);

      assert.equal(capture.attached.size, 0);
      assert.equal(engine.pods.size, 0);
      assert.equal(phase(), 'waiting');
    });
  }

  it('that is announced after a drain began waits for the next proxy', async () => {
    manager.beginDrain();

    manager.session().add(announcement());
    await eventually('the pod was looked at', () => detail()?.includes('draining') === true);

    assert.equal(capture.attached.size, 0);
    assert.equal(engine.pods.size, 0);
  });

  it('of an earlier process is adopted if named, released after the snapshot if not', async () => {
    manager.close();
    start(['u1', 'u2', 'u3']);
    const session = manager.session();
    session.add(announcement());
    session.keep('u2');
    await becomes('running');
    assert.deepEqual(capture.pinned(), ['u1', 'u2', 'u3']);

    session.snapshot();

    assert.deepEqual(capture.pinned(), ['u1', 'u2']);
    assert.equal([...manager.views()][0]?.adopted, true);
  });

  it('that opted out while no proxy ran is freed of what was left', async () => {
    manager.close();
    start(['u1']);
    settings = cartSettings({ enrolled: false });
    manager.session().add(announcement());

    await becomes('left_alone');

    assert.deepEqual(capture.pinned(), []);
  });

  it('named by another agent since a snapshot began survives it', async () => {
    const slow = manager.session();
    manager.session().add(announcement());
    await becomes('running');

    slow.snapshot();
    await eventually('settled', () => phase() === 'running');
    const next = manager.session();
    next.snapshot();

    await becomes(undefined);
  });

  it('beyond the limit is refused', () => {
    const session = manager.session();
    session.add(announcement('u1'));
    session.add(announcement('u2'));

    assert.throws(() => session.add(announcement('u3')), { code: 'ERR_CULVERT_POD_LIMIT' });
  });

  it('whose namespace does not exist is refused', () => {
    assert.throws(() => manager.session().add(announcement('u1', 'nowhere')), {
      code: 'ERR_CULVERT_POD_NETNS',
    });
  });

  it('is waited for until it runs, or for as long as asked', async () => {
    certified = false;
    const session = manager.session();
    session.add(announcement());
    const late = session.settled('u1', 500);
    await becomes('waiting');
    clock.advance(500);
    assert.equal((await late)?.phase, 'waiting');

    const running = session.settled('u1', 500);
    certified = true;
    manager.reconsider();

    assert.equal((await running)?.phase, 'running');
  });
});
