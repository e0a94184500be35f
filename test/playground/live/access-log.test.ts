import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAccessLine, shortIdentity } from '../../../src/playground/live/access-log.ts';
import { Tail } from '../../../src/playground/live/tail.ts';

const inbound = {
  level: 'info',
  scope: 'access',
  msg: 'connection complete',
  'src.addr': '10.244.1.11:40000',
  'src.workload': 'frontend',
  'src.identity': 'spiffe://cluster.local/ns/shop/sa/frontend',
  'dst.addr': '10.244.2.12:15008',
  'dst.hbone_addr': '10.244.2.12:8080',
  'dst.workload': 'cart-2',
  direction: 'inbound',
  bytes_sent: 100,
  bytes_recv: 23,
};

const line = (overrides: object): string => JSON.stringify({ ...inbound, ...overrides });

describe('a line of the access log', () => {
  it('becomes a connection with its identity, link and bytes', () => {
    assert.deepEqual(parseAccessLine('node2', line({}), 7), {
      key: 'node2/7',
      from: 'frontend',
      to: 'cart-2:8080',
      identity: 'shop/frontend',
      link: 'mTLS',
      bytes: 123,
      open: false,
      outcome: 'allowed',
    });
  });

  it('is left to the node that the connection reaches', () => {
    assert.equal(parseAccessLine('node1', line({ direction: 'outbound' }), 1), undefined);
  });

  it('is shown from the first node if the connection never reached another', () => {
    const found = parseAccessLine('node1', line({ direction: 'outbound', reason: 'connect_failed' }), 1);

    assert.equal(found?.outcome, 'connect_failed');
  });

  it('is shown from the first node if the destination is outside the mesh', () => {
    const found = parseAccessLine('node1', line({ direction: 'outbound', 'dst.addr': '10.244.2.31:8080', 'dst.hbone_addr': undefined }), 1);

    assert.equal(found?.link, 'plain');
  });

  it('names the policy that denied', () => {
    const found = parseAccessLine('node2', line({ reason: 'denied', policy: 'shop/cart-readers' }), 1);

    assert.equal(found?.outcome, 'denied: cart-readers');
  });

  it('of another subject, or cut in the middle, is none', () => {
    assert.equal(parseAccessLine('n', line({ scope: 'xds' }), 1), undefined);
    assert.equal(parseAccessLine('n', line({}).slice(0, 40), 1), undefined);
    assert.equal(parseAccessLine('n', 'plain text', 1), undefined);
  });

  it('without an identity shows none', () => {
    assert.equal(shortIdentity(''), '');
  });
});

describe('following a file', () => {
  let directory: string;
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'culvert-tail-'))));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('gives each line once, and a half-written one when it is whole', async () => {
    const path = join(directory, 'log');
    const tail = new Tail(path);

    const before = await tail.read();
    await appendFile(path, 'one\ntw');
    const first = await tail.read();
    await appendFile(path, 'o\n');
    const second = await tail.read();

    assert.deepEqual([before, first, second, tail.lines], [[], ['one'], ['two'], 2]);
  });
});
