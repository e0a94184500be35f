// The process has no more file descriptors: what is open goes on, what is new is refused with its reason, and as soon
// as there are some again all is as before.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { defaultEngineOptions, startEngine } from '../../src/engine/engine.ts';
import { readDescriptors } from '../../src/runtime/descriptors.ts';
import {
  EngineNode,
  type PodAddresses,
  clientId,
  holds,
  loopback,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';
import { Outside } from '../support/outside.ts';

describe('without file descriptors', function () {
  this.timeout(30_000);
  const reserved = 40;
  let limitBefore: number;
  let node: EngineNode | undefined;
  let outside: Outside;
  let port: number;
  let client: PodAddresses;
  let hoarded: number[] = [];

  before(() => {
    assert.equal(spawnSync('prlimit', ['--version']).status, 0, 'prlimit of util-linux is needed');
  });
  beforeEach(async () => {
    limitBefore = readDescriptors().max;
    outside = new Outside();
    port = Number(await outside.ask('serve'));
  });
  afterEach(async () => {
    release();
    setLimit(limitBefore);
    node?.close();
    node = undefined;
    await outside.close();
  });

  /** A node that may have so many descriptors more than are open now. */
  async function arrange(more: number): Promise<EngineNode> {
    setLimit(Math.max(readDescriptors().used + more, 4 * reserved));
    const started = await EngineNode.start({ limits: { reservedDescriptors: reserved } });
    node = started;
    client = await started.addPod('client', clientId);
    started.onOutbound = () => ({ kind: 'plain', to: { ip: loopback, port } });
    return started;
  }

  /** Takes every descriptor there is. */
  function hoard(): void {
    try {
      for (;;) hoarded.push(openSync('/dev/null', 'r'));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE');
    }
  }

  function release(): void {
    for (const fd of hoarded) closeSync(fd);
    hoarded = [];
  }

  const count = (): number => node?.engine.stats().counters['descriptors'] ?? -1;

  it('connections are refused before the last ones, those that are open go on, and new ones come again', async () => {
    const { engine, closed, of } = bound(await arrange(200));

    await outside.ask(`open 250 ${client.outbound.port}`);
    await closed(100);
    const [echoed = 0, broken = 0, silent] = await outside.use();

    assert.ok(echoed > 30 && broken > 100, `${echoed} served, ${broken} refused`);
    assert.equal(echoed + broken, 250);
    assert.equal(silent, 0);
    assert.ok(count() >= broken);
    for (const event of of('closed')) assert.equal(event.reason, 'limit');
    const { used, max } = readDescriptors();
    assert.ok(used <= max - reserved + 2, `${used} of ${max} are used`);
    assert.ok(readFileSync('/proc/self/limits', 'utf8').length > 0, 'the control plane has its own');

    await outside.ask(`close 250`);
    await holds(() => assert.equal(engine.stats().connections, 0));
    await outside.ask(`open 20 ${client.outbound.port}`);
    assert.deepEqual(await outside.use(), [20, 0, 0]);
  });

  it('a tunnel cannot be dialled, and the connection is refused with the reason', async () => {
    const { engine, event, onOutbound } = bound(await arrange(200));
    const { hbone } = await (node as EngineNode).addPod('server', serverId);
    const undecided = onOutbound(() => undefined);
    await outside.ask(`open 1 ${client.outbound.port}`);
    const { id } = await undecided;

    hoard();
    engine.decideOutbound(id, tunnelTo(hbone, port));

    assert.equal((await event('closed', (each) => each.id === id)).reason, 'limit');
    assert.ok(count() > 0);
    release();
    await holds(() => assert.equal(engine.stats().tunnelsOutbound, 0));
    (node as EngineNode).onOutbound = () => tunnelTo(hbone, port);
    await outside.ask('close 1');
    await outside.ask(`open 1 ${client.outbound.port}`);
    assert.deepEqual(await outside.use(), [1, 0, 0]);
  });

  it('a delivery is answered with 503 and the reason', async () => {
    const { engine, event, closed } = bound(await arrange(200));
    const { hbone } = await (node as EngineNode).addPod('server', serverId);
    (node as EngineNode).onOutbound = () => tunnelTo(hbone, port);
    (node as EngineNode).onConnect = () => undefined;
    await outside.ask(`open 1 ${client.outbound.port}`);
    const connect = await event('connect');

    hoard();
    engine.decideInbound(connect.id, { kind: 'deliver', to: { ip: loopback, port }, headers: [] });

    assert.equal((await event('closed', ({ id }) => id === connect.id)).reason, 'limit');
    const [outer] = (await closed(2)).filter(({ id }) => id !== connect.id);
    assert.deepEqual([outer?.reason, outer?.detail], ['connect_failed', 503]);
  });

  it('accepting pauses instead of spinning, and goes on by itself', async () => {
    await arrange(300);
    hoard();
    await outside.ask(`open 60 ${client.outbound.port}`);
    const counted = (least: number) => (): void => {
      hoard(); // what came free meanwhile, of what Node has closed
      assert.ok(count() >= least);
    };
    await holds(counted(1));
    const [from, before] = [performance.now(), count()];
    await holds(counted(before + 3));
    const tookMs = performance.now() - from;
    assert.ok(tookMs > 200, `3 attempts in ${tookMs} ms`);

    release();
    const [echoed = 0, broken = 0, silent] = await outside.use();
    assert.deepEqual([echoed + broken, silent], [60, 0]);
    assert.ok(echoed > 30, `${echoed} of 60 were served`);
  });

  it('no pod can be added, which is an error and nothing else', async () => {
    const { engine } = await arrange(200);
    const netns = openSync('/proc/self/ns/net', 'r');
    hoard();

    assert.throws(() => engine.addPod('late', netns, { tlsIdentity: clientId, ipv6: true }), {
      code: 'ERR_CULVERT_ENGINE_FAILED',
    });
    // One is enough for the namespace of the pod, not for the way back.
    closeSync(hoarded.pop() ?? -1);
    assert.throws(() => engine.addPod('late', netns, { tlsIdentity: clientId, ipv6: true }), {
      code: 'ERR_CULVERT_ENGINE_FAILED',
    });

    release();
    engine.addPod('late', netns, { tlsIdentity: clientId, ipv6: true });
    closeSync(netns);
  });

  it('no engine starts, which is an error and nothing else', async () => {
    await arrange(200);
    for (const left of [0, 1, 3, 5]) {
      hoard();
      for (let each = 0; each < left; each += 1) closeSync(hoarded.pop() ?? -1);
      assert.throws(() => startEngine({ ...defaultEngineOptions, threads: 2 }, () => undefined), {
        code: 'ERR_CULVERT_ENGINE_FAILED',
      });
      release();
    }
  });

  it('Node has raised the limit to what is allowed', () => {
    const script = "console.log(require('fs').readFileSync('/proc/self/limits', 'utf8'))";
    const { stdout } = spawnSync('prlimit', ['--nofile=300:800', process.execPath, '-e', script]);

    assert.match(stdout.toString(), /Max open files\s+800\s+800/);
  });
});

function setLimit(soft: number): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`]);
  assert.equal(status, 0, stderr.toString());
}

/** Methods of a node that can be taken apart. */
function bound(node: EngineNode): {
  readonly engine: EngineNode['engine'];
  readonly closed: EngineNode['closed'];
  readonly event: EngineNode['event'];
  readonly of: EngineNode['of'];
  /** Decides by `decide`; resolves with the next connection. */
  readonly onOutbound: (decide: EngineNode['onOutbound']) => Promise<Parameters<EngineNode['onOutbound']>[0]>;
} {
  return {
    engine: node.engine,
    closed: node.closed.bind(node),
    event: node.event.bind(node),
    of: node.of.bind(node),
    onOutbound: (decide) =>
      new Promise((resolve) => {
        node.onOutbound = (event) => {
          resolve(event);
          return decide(event);
        };
      }),
  };
}
