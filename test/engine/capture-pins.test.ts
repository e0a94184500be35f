import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { boundNamespaces } from '../../src/engine/capture-namespaces.ts';
import { pinName, podIdOfPin } from '../../src/engine/capture-pins.ts';
import { UndoLog } from '../../src/engine/capture-undo.ts';

describe('the name of a pin directory', () => {
  it('says the pod id again', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), (podId) => {
        const name = pinName(podId);
        assert.equal(podIdOfPin(name), podId);
        assert.match(name, /^[A-Za-z0-9_%-]+$/);
      }),
    );
  });

  it('cannot leave its directory', () => {
    assert.equal(pinName('../../etc'), '%2E%2E%2F%2E%2E%2Fetc');
  });

  it('is refused for an id that is empty or too long', () => {
    for (const podId of ['', 'x'.repeat(241)]) {
      assert.throws(() => pinName(podId), { code: 'ERR_CULVERT_ENGINE_ARGUMENT' });
    }
  });

  it('is no pod for what a replaced attachment left', () => {
    assert.equal(podIdOfPin('web~stale'), undefined);
  });
});

describe('bound namespaces in mountinfo', () => {
  it('are the mount points of network namespaces, unescaped', () => {
    const text = [
      '36 35 98:0 / /mnt1 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
      '521 22 0:4 net:[4026532281] /run/netns/cni-1 rw shared:300 - nsfs nsfs rw',
      '522 22 0:4 net:[4026532282] /run/net\\040ns rw - nsfs nsfs rw',
      '523 22 0:4 mnt:[4026532283] /run/snapd/ns/x.mnt rw - nsfs nsfs rw',
      '',
    ].join('\n');

    assert.deepEqual(boundNamespaces(text), ['/run/netns/cni-1', '/run/net ns']);
  });
});

describe('an undo log', () => {
  it('undoes the newest first, goes on after a failure and returns it', () => {
    const order: number[] = [];
    const undo = new UndoLog();
    undo.add(() => order.push(1));
    undo.add(() => {
      throw new Error('stuck');
    });
    undo.add(() => order.push(3));

    const failures = undo.rollBack();

    assert.deepEqual(order, [3, 1]);
    assert.equal(failures.length, 1);
    assert.deepEqual(undo.rollBack(), []);
  });
});
