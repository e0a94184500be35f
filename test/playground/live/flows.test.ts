import assert from 'node:assert/strict';
import type { ObservedConnection } from '../../../src/playground/live/flows.ts';
import { FlowHistory } from '../../../src/playground/live/flows.ts';

function connection(overrides: Partial<ObservedConnection> = {}): ObservedConnection {
  return {
    key: 'node1/1',
    from: 'frontend',
    to: 'cart:80',
    identity: 'shop/frontend',
    link: 'mTLS',
    bytes: 0,
    open: true,
    outcome: 'allowed',
    ...overrides,
  };
}

describe('the history of flows', () => {
  it('counts a connection once however often it is reported, and its bytes as they grow', () => {
    const history = new FlowHistory();

    history.observe(0, [connection({ bytes: 100 })]);
    history.observe(1000, [connection({ bytes: 300 })]);
    history.observe(2000, [connection({ bytes: 300, open: false })]);

    const [row] = history.rows(2000);
    assert.equal(row?.connections, 1);
    assert.equal(row?.bytes, 300);
    assert.equal(row?.open, 0);
  });

  it('computes the rate over the last seconds', () => {
    const history = new FlowHistory();

    history.observe(0, [connection({ bytes: 1000 })]);
    history.observe(2000, [connection({ bytes: 5000 })]);

    assert.equal(history.rows(2000)[0]?.bytesPerSecond, 2000);

    history.observe(9000, [connection({ bytes: 5000 })]);
    history.observe(9500, [connection({ bytes: 5000 })]);

    assert.equal(history.rows(9500)[0]?.bytesPerSecond, 0);
  });

  it('shows the same pair denied on a row of its own, with the policy', () => {
    const history = new FlowHistory();

    history.observe(0, [
      connection(),
      connection({ key: 'node1/2', open: false, outcome: 'denied by shop/cart-readers' }),
    ]);

    assert.deepEqual(
      history.rows(0).map((row) => row.outcome),
      ['allowed', 'denied by shop/cart-readers'],
    );
  });

  it('forgets a flow that has ended and was quiet for long, and keeps an idle open one', () => {
    const history = new FlowHistory({ forgetMs: 5000 });
    const idle = connection({ key: 'node1/2', from: 'catalog' });

    history.observe(0, [connection({ open: false }), idle]);
    history.observe(6000, [idle]);

    assert.deepEqual(
      history.rows(6000).map((row) => row.from),
      ['catalog'],
    );
  });

  it('keeps to its bound of flows', () => {
    const history = new FlowHistory({ flowsMax: 3 });

    history.observe(
      0,
      Array.from({ length: 10 }, (_, port) => connection({ key: `k${port}`, to: `x:${port}` })),
    );

    assert.equal(history.rows(0).length, 3);
  });
});
