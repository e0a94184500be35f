// The line of a connection, with the fields and directions of ambient's.
import assert from 'node:assert/strict';
import { finishedFields } from '../../src/ztunnel/access-log.ts';
import type { Connection } from '../../src/ztunnel/connection.ts';
import { closedEvent, socketAddress } from '../support/engine-events.ts';
import { workload } from '../support/mesh-objects.ts';

const connection: Connection = {
  id: 1,
  podId: 'pod',
  direction: 'inbound',
  openedMs: 0,
  security: 'mutual_tls',
  source: { address: socketAddress('10.0.1.1:50000'), identity: 'spiffe://cluster.local/ns/shop/sa/web' },
  destination: {
    address: socketAddress('10.0.2.1:80'),
    workload: workload({ name: 'cart' }),
    identity: 'spiffe://cluster.local/ns/shop/sa/cart',
  },
};
const closed = closedEvent(1, { bytesSent: 10, bytesReceived: 20 });

describe('a line of the access log', () => {
  it('counts as sent what the pod of this node sent, for either direction', () => {
    const inbound = finishedFields({ connection, closed });
    const outbound = finishedFields({ connection: { ...connection, direction: 'outbound' }, closed });

    assert.deepEqual([inbound['bytes_sent'], inbound['bytes_recv']], [20, 10]);
    assert.deepEqual([outbound['bytes_sent'], outbound['bytes_recv']], [10, 20]);
  });

  it('names identities of a mutual TLS connection', () => {
    const fields = finishedFields({ connection, closed });

    assert.equal(fields['src.identity'], 'spiffe://cluster.local/ns/shop/sa/web');
    assert.equal(fields['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
  });

  it('names none of a plaintext connection, where nobody has proven any', () => {
    const fields = finishedFields({ connection: { ...connection, security: 'plaintext' }, closed });

    assert.deepEqual([fields['src.identity'], fields['dst.identity']], [undefined, undefined]);
    assert.equal(fields['dst.workload'], 'cart');
  });
});
