// Policies change while connections are open, wherever the server is and however its node is reached. Needs root.
import assert from 'node:assert/strict';
import type { TestMesh } from '../support/mesh.ts';
import { allowPolicy, peerAuthentication, requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';

const port = 7001;

const places = [
  { place: 'on another node', node: 'node2', sameNode: 'tunnel' },
  { place: 'on the same node', node: 'node1', sameNode: 'tunnel' },
  { place: 'on the same node, joined with the client', node: 'node1', sameNode: 'direct' },
] as const;

for (const where of places)
  describe(`a policy of a server ${where.place} that changes under open connections`, function () {
    this.timeout(sanitized ? 120_000 : 30_000);
    changes(where);
  });

function changes({ node, sameNode }: (typeof places)[number]): void {
  let mesh: TestMesh;
  const target = (name: string) => ({ host: mesh.address(name, 'v4'), port });
  const everybody = [
    allowPolicy('servers', 'server', { clients: ['client', 'stranger'], ipBlocks: ['10.244.1.13/32'] }),
  ];

  before(async function () {
    this.timeout(120_000);
    requireRoot(this);
    mesh = await startTestMesh({
      sameNode,
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'stranger', node: 'node1', captured: true },
        { name: 'guest', node: 'node1', captured: false },
        { name: 'server', node, captured: true },
        { name: 'other', node, captured: true },
      ],
      manifests: { 'policies.yaml': everybody, 'modes.yaml': [peerAuthentication('PERMISSIVE')] },
    });
    for (const server of ['server', 'other']) await mesh.pod(server).listen(port, 'echo');
  });

  afterEach(async () => {
    for (const name of ['client', 'stranger', 'guest']) {
      await mesh.pod(name).release('held');
      await mesh.pod(name).release('elsewhere');
    }
    await mesh.apply('policies.yaml', everybody);
    await mesh.apply('modes.yaml', [peerAuthentication('PERMISSIVE')]);
    await untilAnswers('client');
    await untilAnswers('stranger');
    await untilAnswers('guest');
  });

  after(async function () {
    this.timeout(60_000);
    await mesh?.close();
  });

  async function untilAnswers(client: string): Promise<void> {
    await until(
      async () => (await mesh.pod(client).echo(target('server'))).outcome === 'ok',
      `${client} is let in`,
    );
  }

  it('cuts exactly the connections it no longer allows, within a second', async () => {
    for (const client of ['client', 'stranger']) {
      assert.equal((await mesh.pod(client).hold('held', target('server'))).outcome, 'ok');
      assert.equal((await mesh.pod(client).hold('elsewhere', target('other'))).outcome, 'ok');
    }

    const edited = performance.now();
    await mesh.apply('policies.yaml', [allowPolicy('servers', 'server', { clients: ['client'] })]);
    const end = await mesh.pod('stranger').ended('held', 5000);
    const tookMs = performance.now() - edited;

    assert.notEqual(end.outcome, 'timeout');
    assert.ok(sanitized || tookMs < 1000, `cut after ${tookMs} ms`);
    assert.equal((await mesh.pod('client').probe('held')).outcome, 'ok');
    assert.equal((await mesh.pod('client').probe('elsewhere')).outcome, 'ok');
    assert.equal((await mesh.pod('stranger').probe('elsewhere')).outcome, 'ok');
    assert.notEqual((await mesh.pod('stranger').echo(target('server'))).outcome, 'ok');
  });

  it('cuts nothing when it only adds a client', async () => {
    await mesh.apply('policies.yaml', [allowPolicy('servers', 'server', { clients: ['client'] })]);
    await until(
      async () => (await mesh.pod('stranger').echo(target('server'))).outcome !== 'ok',
      'stranger is denied',
    );
    await mesh.pod('client').hold('held', target('server'));

    await mesh.apply('policies.yaml', everybody);
    await untilAnswers('stranger');

    assert.equal((await mesh.pod('client').probe('held')).outcome, 'ok');
  });

  it('cuts the plaintext connections that STRICT forbids, and no tunnel', async () => {
    await mesh.pod('guest').hold('held', target('other'));
    await mesh.pod('client').hold('held', target('other'));

    await mesh.apply('modes.yaml', [peerAuthentication('STRICT')]);
    const end = await mesh.pod('guest').ended('held', 5000);

    assert.notEqual(end.outcome, 'timeout');
    assert.equal((await mesh.pod('client').probe('held')).outcome, 'ok');
    assert.notEqual((await mesh.pod('guest').echo(target('other'))).outcome, 'ok');
  });

  it('denies everybody while it cannot be understood, and lets them in again when it can', async () => {
    const broken = {
      ...everybody[0],
      spec: { selector: { matchLabels: { app: 'server' } }, action: 'PERHAPS' },
    };

    await mesh.apply('policies.yaml', [broken]);

    await until(
      async () => (await mesh.pod('client').echo(target('server'))).outcome !== 'ok',
      'client is denied',
    );
    assert.equal((await mesh.pod('client').echo(target('other'))).outcome, 'ok');
  });
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) assert.ok(Date.now() < deadline, `still not so: ${what}`);
}
