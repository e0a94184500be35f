import assert from 'node:assert/strict';
import type { ConnectionsReport, EndedConnection } from '../../../src/playground/live/connections.ts';
import { observeNode, shortIdentity } from '../../../src/playground/live/connections.ts';
import { allowPoliciesOf } from '../../../src/playground/live/observe.ts';

const inbound: EndedConnection = {
  id: 7,
  direction: 'inbound',
  security: 'mutual_tls',
  openedMs: 1000,
  source: {
    address: '10.244.1.11:40000',
    workload: 'frontend',
    namespace: 'shop',
    identity: 'spiffe://cluster.local/ns/shop/sa/frontend',
  },
  destination: { address: '10.244.2.12:8080', workload: 'cart-2', namespace: 'shop', identity: null },
  hboneAddress: '10.244.2.12:15008',
  bytesSent: 100,
  bytesReceived: 23,
  policy: null,
  reason: 'ok',
};
const outbound: EndedConnection = { ...inbound, direction: 'outbound' };

function ended(connection: Partial<EndedConnection>, names: (workload: string) => string = () => '') {
  const report: ConnectionsReport = { live: [], recent: [{ ...inbound, ...connection }] };
  return observeNode('node2', report, names)[0];
}

describe('a connection that a node reports', () => {
  it('has its identity, link, bytes and outcome', () => {
    assert.deepEqual(ended({}), {
      key: 'node2/1000/7/inbound',
      from: 'frontend',
      to: 'cart-2:8080',
      identity: 'shop/frontend',
      link: 'mTLS',
      bytes: 123,
      open: false,
      outcome: 'allowed',
    });
  });

  it('is left to the node that it reaches', () => {
    assert.equal(ended(outbound), undefined);
    assert.equal(ended({ ...outbound, reason: 'peer_status' }), undefined);
  });

  it('between two pods of one node has a link of its own, the identity, and is counted once', () => {
    const joined = { security: 'same_node', hboneAddress: null } as const;

    const found = ended(joined);
    assert.deepEqual([found?.link, found?.identity], ['node', 'shop/frontend']);
    assert.equal(ended({ ...outbound, ...joined }), undefined);
  });

  it('is taken from the first node if it never reached another', () => {
    assert.equal(ended({ ...outbound, reason: 'connect_failed' })?.outcome, 'connect_failed');
  });

  it('is taken from the first node if the destination is outside the mesh, without an identity', () => {
    const found = ended({ ...outbound, security: 'plaintext', hboneAddress: null });

    assert.deepEqual([found?.link, found?.identity], ['plain', '']);
  });

  it('names the policy that denied it', () => {
    assert.equal(ended({ reason: 'denied', policy: 'shop/no-carts' })?.outcome, 'denied: no-carts');
  });

  it('names the policy that did not allow it, where none denied it', () => {
    const found = ended({ reason: 'denied' }, (workload) => (workload === 'cart-2' ? 'cart-readers' : ''));

    assert.equal(found?.outcome, 'denied: cart-readers');
  });

  it('shows an address for a workload that nobody knows', () => {
    const source = { address: '[fd00::1]:99', workload: null, namespace: null, identity: null };

    assert.equal(ended({ source })?.from, '[fd00::1]');
  });

  it('is open while it lives', () => {
    const report: ConnectionsReport = { live: [{ ...inbound, state: 'open' }], recent: [] };

    assert.equal(observeNode('node2', report, () => '')[0]?.open, true);
  });
});

describe('the short form of an identity', () => {
  for (const [uri, short] of [
    ['spiffe://cluster.local/ns/shop/sa/cart', 'shop/cart'],
    ['', ''],
  ] as const)
    it(`of "${uri}" is "${short}"`, () => assert.equal(shortIdentity(uri), short));
});

describe('the policies that could let a caller in', () => {
  const workload = { name: 'cart', namespace: 'shop', policies: ['shop/readers'] };
  const policy = {
    name: 'readers',
    namespace: 'shop',
    scope: 'workload',
    action: 'allow',
    dryRun: false,
  } as const;

  it('are those that select the workload, its namespace, or everything', () => {
    const found = (policies: readonly (typeof policy | object)[]) =>
      allowPoliciesOf({ workloads: [workload], policies: policies as (typeof policy)[] }).get('cart');

    assert.equal(found([policy]), 'readers');
    assert.equal(found([{ ...policy, name: 'other' }]), '');
    assert.equal(found([{ ...policy, name: 'all', scope: 'namespace' }]), 'all');
    assert.equal(found([{ ...policy, name: 'all', scope: 'namespace', namespace: 'data' }]), '');
    assert.equal(found([{ ...policy, name: 'all', scope: 'global', namespace: 'root' }, policy]), 'all +1');
  });

  it('are neither DENY policies nor those on trial', () => {
    const policies = [
      { ...policy, action: 'deny' as const },
      { ...policy, dryRun: true },
    ];

    assert.equal(allowPoliciesOf({ workloads: [workload], policies }).get('cart'), '');
  });
});
