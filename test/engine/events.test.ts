// The reader of the native engine's records, against records made here by hand and cut at every byte.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkLayout, closeReasons, decodeEvents } from '../../src/engine/events.ts';
import { brokenBytes, check, thrownBy } from '../support/properties.ts';

function record(kind: number, reason: number, detail: number, id: number, body: Buffer): Buffer {
  const size = Math.ceil((24 + body.length) / 8) * 8;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(size, 0);
  out.writeUInt8(kind, 4);
  out.writeUInt8(reason, 5);
  out.writeUInt16LE(detail, 6);
  out.writeBigUInt64LE(BigInt(id), 8);
  body.copy(out, 24);
  return out;
}

function text(value: string): Buffer {
  const out = Buffer.alloc(2 + value.length, value, 'latin1');
  out.writeUInt16LE(value.length, 0);
  out.write(value, 2, 'latin1');
  return out;
}

function numbers(...values: readonly bigint[]): Buffer {
  return Buffer.from(BigUint64Array.from(values).buffer);
}

function address(family: 4 | 6, port: number, bytes: readonly number[]): Buffer {
  const out = Buffer.alloc(20);
  out.writeUInt8(family, 0);
  out.writeUInt16LE(port, 2);
  Buffer.from(bytes).copy(out, 4);
  return out;
}

describe('the event decoder', () => {
  const outbound = record(
    1,
    0,
    0,
    2 ** 52 + 3,
    Buffer.concat([
      numbers(7n, 2n),
      address(4, 4321, [10, 0, 0, 1]),
      address(6, 80, [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
      text('pod-a'),
      text('4f-a1'),
    ]),
  );

  it('reads a captured connection with addresses of both families', () => {
    assert.deepEqual(decodeEvents(outbound), [
      {
        kind: 'outbound',
        id: 2 ** 52 + 3,
        podId: 'pod-a',
        client: { ip: '10.0.0.1', port: 4321 },
        originalDst: { ip: 'fd00::9', port: 80 },
        trace: '4f-a1',
        reused: { ticket: 7, choice: 2 },
      },
    ]);
  });

  it('reads the end of a connection', () => {
    const body = Buffer.alloc(26);
    body.writeDoubleLE(2 ** 40, 0);
    body.writeDoubleLE(7, 8);
    body.writeDoubleLE(1.5, 16);
    body.writeUInt8(1, 24);
    body.writeUInt8(1, 25);

    assert.deepEqual(decodeEvents(record(5, closeReasons.indexOf('peer_reset'), 10, 9, body)), [
      {
        kind: 'closed',
        id: 9,
        bytesSent: 2 ** 40,
        bytesReceived: 7,
        durationMs: 1.5,
        reason: 'peer_reset',
        detail: 10,
        endedBy: 'target',
        afterEnd: true,
      },
    ]);
  });

  it('skips a kind that it does not know, and reads on', () => {
    const batch = Buffer.concat([record(200, 0, 0, 1, Buffer.alloc(5)), outbound]);

    assert.equal(decodeEvents(batch).length, 1);
  });

  it('refuses a batch that is cut at any byte', () => {
    for (let length = 1; length < outbound.length; length += 1) {
      assert.throws(() => decodeEvents(outbound.subarray(0, length)), RangeError);
    }
  });

  it('refuses a string that is longer than its record', () => {
    const broken = Buffer.from(outbound);
    broken.writeUInt16LE(60_000, 24 + 16 + 40);

    assert.throws(() => decodeEvents(Buffer.concat([broken, outbound])), RangeError);
  });

  it('reads or refuses what is broken, whatever the kind, and ends', () => {
    const body = fc.uint8Array({ maxLength: 120 });
    const any = fc
      .tuple(fc.nat(10), fc.nat(255), fc.nat(2 ** 16 - 1), body)
      .map(([kind, reason, detail, bytes]) => {
        return record(kind, reason, detail, 7, Buffer.from(bytes));
      });
    const batches = fc
      .array(fc.oneof(any, fc.constant(outbound)), { maxLength: 4 })
      .map((each) => Buffer.concat(each));
    check(
      fc.property(fc.oneof(brokenBytes(batches), batches), (batch) => {
        const error = thrownBy(() => assert.ok(decodeEvents(Buffer.from(batch)).length <= batch.length / 24));
        assert.ok(error === undefined || error instanceof RangeError, String(error));
      }),
      1_000,
    );
  });

  it('refuses an addon with other reasons', () => {
    const layout = { reasons: closeReasons.slice(1), recordHeaderBytes: 24, eventKinds: 9 };

    assert.throws(() => checkLayout(layout), { code: 'ERR_CULVERT_ADDON_INCOMPATIBLE' });
  });
});
