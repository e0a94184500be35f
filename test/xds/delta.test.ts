import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { DeltaPush, DeltaRequest } from '../../src/xds/delta.ts';
import { TypeSubscription } from '../../src/xds/delta.ts';
import { DeltaDiscoveryResponseSchema } from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import { encodeResponse } from '../../src/xds/response.ts';
import type { ServedResource } from '../../src/xds/types.ts';

const limits = { namesMax: 100, bytesMax: 1_000_000 };

function resource(name: string, version = '1', extra: Partial<ServedResource> = {}): ServedResource {
  return { name, aliases: [], version, bytes: Buffer.from(`${name}@${version}`), ...extra };
}

function resources(...list: readonly ServedResource[]): ReadonlyMap<string, ServedResource> {
  return new Map(list.map((entry) => [entry.name, entry]));
}

function request(overrides: Partial<DeltaRequest> = {}): DeltaRequest {
  return { subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', ...overrides };
}

function changedNames(push: DeltaPush | undefined): string[] | undefined {
  return push?.changed.map((entry) => `${entry.name}@${entry.resource.version}`).sort();
}

describe('a subscription to everything', () => {
  let subscription: TypeSubscription;
  const acknowledge = (push: DeltaPush | undefined): void => {
    assert.equal(subscription.receive(request({ nonce: push?.nonce ?? 'none' })), 'ack');
  };

  beforeEach(() => {
    subscription = new TypeSubscription(limits);
  });

  it('is sent nothing before it asks', () => {
    assert.equal(subscription.next(resources(resource('a'))), undefined);
  });

  it('is sent all at first and then only what changed', () => {
    subscription.receive(request());
    const first = subscription.next(resources(resource('a'), resource('b'), resource('c')));
    acknowledge(first);

    const second = subscription.next(resources(resource('a'), resource('b', '2'), resource('d')));

    assert.deepEqual(changedNames(first), ['a@1', 'b@1', 'c@1']);
    assert.deepEqual(changedNames(second), ['b@2', 'd@1']);
    assert.deepEqual(second?.removed, ['c']);
  });

  it('is answered even if there is nothing, so that the client knows it is up to date', () => {
    subscription.receive(request());

    const push = subscription.next(resources());

    assert.deepEqual(push, { changed: [], removed: [], nonce: '1' });
  });

  it('is sent nothing more until the outstanding response is acknowledged, then all changes merged', () => {
    subscription.receive(request());
    const first = subscription.next(resources(resource('a')));

    assert.equal(subscription.next(resources(resource('a', '2'))), undefined);
    assert.equal(subscription.next(resources(resource('a', '3'), resource('b'))), undefined);
    acknowledge(first);

    assert.deepEqual(changedNames(subscription.next(resources(resource('a', '3'), resource('b')))), [
      'a@3',
      'b@1',
    ]);
  });

  it('is not sent again what it rejected, until that changes', () => {
    subscription.receive(request());
    const push = subscription.next(resources(resource('a')));

    const receipt = subscription.receive(request({ nonce: push?.nonce ?? '', rejection: 'a: bad' }));

    assert.equal(receipt, 'nack');
    assert.equal(subscription.next(resources(resource('a'))), undefined);
    assert.deepEqual(changedNames(subscription.next(resources(resource('a', '2')))), ['a@2']);
  });

  it('stays outstanding when an old nonce comes back', () => {
    subscription.receive(request());
    const push = subscription.next(resources(resource('a')));

    assert.equal(subscription.receive(request({ nonce: 'old' })), 'stale');

    assert.equal(subscription.outstanding, push?.nonce);
  });

  it('that comes back is sent only what it lacks, and told what is gone', () => {
    subscription.receive(request({ initialVersions: { a: '1', b: '1', gone: '7' } }));

    const push = subscription.next(resources(resource('a'), resource('b', '2'), resource('c')));

    assert.deepEqual(changedNames(push), ['b@2', 'c@1']);
    assert.deepEqual(push?.removed, ['gone']);
  });

  it('that comes back without versions, as older clients do, is sent all again', () => {
    subscription.receive(request({ initialVersions: { a: '', gone: '' } }));

    const push = subscription.next(resources(resource('a')));

    assert.deepEqual(changedNames(push), ['a@1']);
    assert.deepEqual(push?.removed, ['gone']);
  });

  it('is cut where it would be too large, and continues after each acknowledgement', () => {
    subscription = new TypeSubscription({ namesMax: 100, bytesMax: 600 });
    const all = resources(resource('a'), resource('b'), resource('c'), resource('d'), resource('e'));
    const sent: string[] = [];
    subscription.receive(request());
    let responses = 0;

    for (let push = subscription.next(all); push !== undefined; push = subscription.next(all)) {
      sent.push(...(changedNames(push) ?? []));
      responses += 1;
      acknowledge(push);
    }

    assert.deepEqual(sent, ['a@1', 'b@1', 'c@1', 'd@1', 'e@1']);
    assert.equal(responses, 3);
  });
});

describe('a subscription by name', () => {
  const cart = resource('uid-cart', '1', { aliases: ['net/10.0.0.1'], broughtBy: ['shop/cart'] });
  const web = resource('uid-web', '1', { aliases: ['net/10.0.0.2'] });
  const service = resource('shop/cart', '1', { aliases: ['net/10.96.0.1'] });
  const mesh = resources(cart, web, service);
  let subscription: TypeSubscription;
  const respond = (names: readonly string[], current = mesh): DeltaPush => {
    subscription.receive(request({ subscribe: names }));
    const push = subscription.next(current);
    assert.ok(push !== undefined);
    assert.equal(subscription.receive(request({ nonce: push.nonce })), 'ack');
    return push;
  };

  beforeEach(() => {
    subscription = new TypeSubscription(limits);
    // As a stock ztunnel says that it wants nothing yet.
    subscription.receive(request({ subscribe: ['*'], unsubscribe: ['*'] }));
    const push = subscription.next(mesh);
    assert.deepEqual(push, { changed: [], removed: [], nonce: '1' });
    subscription.receive(request({ nonce: '1' }));
  });

  it('is sent what it asks for by address, under that name and its own', () => {
    assert.deepEqual(changedNames(respond(['net/10.0.0.2'])), ['net/10.0.0.2@1', 'uid-web@1']);
  });

  it('is sent the workloads of the service it asks for', () => {
    const expected = ['net/10.96.0.1@1', 'shop/cart@1', 'uid-cart@1'];

    assert.deepEqual(changedNames(respond(['net/10.96.0.1'])), expected);
  });

  it('is told that a name does not exist, and sent it once it does', () => {
    const push = respond(['net/10.0.0.9']);
    const late = resource('uid-late', '1', { aliases: ['net/10.0.0.9'] });

    const later = subscription.next(resources(cart, late));

    assert.deepEqual(push.removed, ['net/10.0.0.9']);
    assert.deepEqual(changedNames(later), ['net/10.0.0.9@1', 'uid-late@1']);
  });

  it('hears nothing of what it did not ask for', () => {
    respond(['uid-web']);

    assert.equal(subscription.next(resources(resource('uid-cart', '2'), web)), undefined);
  });

  it('is answered again when it asks again for what it was sent', () => {
    respond(['uid-web']);

    assert.deepEqual(changedNames(respond(['uid-web'])), ['uid-web@1']);
  });

  it('is told under both names when what it asked for by address is gone', () => {
    respond(['net/10.0.0.2']);

    assert.deepEqual(subscription.next(resources(cart))?.removed.toSorted(), ['net/10.0.0.2', 'uid-web']);
  });

  it('hears no more of a name it let go of', () => {
    respond(['uid-web']);
    subscription.receive(request({ unsubscribe: ['uid-web'] }));

    assert.equal(subscription.next(resources(cart)), undefined);
  });

  it('that comes back goes on with what it had', () => {
    subscription = new TypeSubscription(limits);
    const initialVersions = { 'uid-web': '1', 'uid-cart': '0', 'uid-gone': '1' };
    subscription.receive(request({ subscribe: ['*'], unsubscribe: ['*'], initialVersions }));

    const push = subscription.next(mesh);

    assert.deepEqual(changedNames(push), ['uid-cart@1']);
    assert.deepEqual(push?.removed, ['uid-gone']);
  });

  it('ends when it asks for more names than are allowed', () => {
    const names = Array.from({ length: 101 }, (_, index) => `n${index}`);

    assert.equal(subscription.receive(request({ subscribe: names })), 'excess');
  });

  it('may ask for everything later', () => {
    assert.deepEqual(changedNames(respond(['*'])), ['shop/cart@1', 'uid-cart@1', 'uid-web@1']);
  });
});

describe('a client that applies every response', () => {
  it('ends up with what is served, however changes, losses of the stream and delays interleave', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const version = fc.constantFrom('1', '2', '3', undefined);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('change' as const), name, version }),
      fc.record({ kind: fc.constantFrom('push' as const, 'ack' as const, 'reconnect' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let current: ReadonlyMap<string, ServedResource> = resources(resource('a'));
        const client = new Map<string, string>();
        let subscription = new TypeSubscription({ namesMax: 10, bytesMax: 600 });
        subscription.receive(request());
        let pending: DeltaPush | undefined;
        const push = (): void => {
          const next = subscription.next(current);
          if (next === undefined) return;
          pending = next;
          const response = fromBinary(DeltaDiscoveryResponseSchema, encodeResponse('type', next));
          for (const removed of response.removedResources) client.delete(removed);
          for (const sent of response.resources) client.set(sent.name, sent.version);
        };
        const acknowledge = (): void => {
          if (pending !== undefined) subscription.receive(request({ nonce: pending.nonce }));
          pending = undefined;
        };
        for (const action of steps) {
          if ('name' in action) {
            const next = new Map(current);
            if (action.version === undefined) next.delete(action.name);
            else next.set(action.name, resource(action.name, action.version));
            current = next;
          } else if (action.kind === 'push') push();
          else if (action.kind === 'ack') acknowledge();
          else {
            subscription = new TypeSubscription({ namesMax: 10, bytesMax: 600 });
            subscription.receive(request({ initialVersions: Object.fromEntries(client) }));
            pending = undefined;
          }
        }
        for (let round = 0; round < 10; round += 1) {
          acknowledge();
          push();
        }
        assert.deepEqual([...client].sort(), [...current].map(([key, value]) => [key, value.version]).sort());
      }),
      { numRuns: 500 },
    );
  });
});
