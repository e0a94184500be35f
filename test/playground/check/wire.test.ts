import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readCapture } from '../../../src/playground/check/packets.ts';
import { claimTunnels, reportWire } from '../../../src/playground/check/wire.ts';
import { brokenBytes, check, thrownBy } from '../../support/properties.ts';

interface Segment {
  readonly from?: string;
  readonly to?: string;
  readonly sequence: number;
  readonly syn?: boolean;
  readonly payload?: Buffer;
}

/** A TLS record of application data around `size` bytes. */
function record(size: number): Buffer {
  const head = Buffer.from([23, 3, 3, 0, 0]);
  head.writeUInt16BE(size, 3);
  return Buffer.concat([head, Buffer.alloc(size, 0xaa)]);
}

function tcp(segment: Segment): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(40_000, 0);
  header.writeUInt16BE(15_008, 2);
  header.writeUInt32BE(segment.sequence, 4);
  header.writeUInt8(5 << 4, 12);
  header.writeUInt8(segment.syn === true ? 2 : 16, 13);
  return Buffer.concat([header, segment.payload ?? Buffer.alloc(0)]);
}

function frame(segment: Segment): Buffer {
  const body = tcp(segment);
  const ethernet = Buffer.alloc(14);
  ethernet.writeUInt16BE(0x0800, 12);
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(20 + body.length, 2);
  ip.writeUInt8(6, 9);
  Buffer.from((segment.from ?? '10.0.0.1').split('.').map(Number)).copy(ip, 12);
  Buffer.from((segment.to ?? '10.0.0.2').split('.').map(Number)).copy(ip, 16);
  return Buffer.concat([ethernet, ip, body]);
}

function capture(frames: readonly Buffer[], cut = 0): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt32LE(1, 20);
  const parts = frames.flatMap((bytes) => {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(bytes.length - cut, 8);
    head.writeUInt32LE(bytes.length, 12);
    return [head, bytes.subarray(0, bytes.length - cut)];
  });
  return Buffer.concat([header, ...parts]);
}

function streams(segments: readonly Segment[]) {
  return reportWire(readCapture(capture(segments.map(frame))), 'marker').streams;
}

describe('a capture of what goes between nodes', () => {
  it('recognizes TLS records that are cut across segments, out of order and sent twice', () => {
    const bytes = Buffer.concat([record(100), record(50)]);
    const [a, b, c] = [bytes.subarray(0, 40), bytes.subarray(40, 120), bytes.subarray(120)];

    const [stream] = streams([
      { sequence: 0xffff_fff0, syn: true },
      { sequence: 0xffff_fff1, payload: a },
      { sequence: (0xffff_fff1 + 120) >>> 0, payload: c },
      { sequence: (0xffff_fff1 + 40) >>> 0, payload: b },
      { sequence: 0xffff_fff1, payload: a },
    ]);

    assert.equal(stream?.notTls, undefined);
    assert.equal(stream?.tlsRecords, 2);
    assert.equal(stream?.bytes, bytes.length);
  });

  it('says where plaintext begins after a good record', () => {
    const [stream] = streams([
      { sequence: 9, syn: true },
      { sequence: 10, payload: Buffer.concat([record(10), Buffer.from('GET / HTTP/1.1')]) },
    ]);

    assert.match(stream?.notTls ?? '', /no TLS record at byte 15/);
  });

  it('does not pass a stream of which segments are missing', () => {
    const [stream] = streams([
      { sequence: 9, syn: true },
      { sequence: 30, payload: record(10) },
    ]);

    assert.match(stream?.notTls ?? '', /missing/);
  });

  it('does not pass a stream whose beginning it has not seen', () => {
    const [stream] = streams([{ sequence: 10, payload: record(10) }]);

    assert.match(stream?.notTls ?? '', /began after/);
  });

  it('tells two connections with the same ports apart', () => {
    const found = streams([
      { sequence: 100, syn: true },
      { sequence: 101, payload: record(10) },
      { sequence: 900, syn: true },
      { sequence: 901, payload: record(20) },
    ]);

    assert.deepEqual(
      found.map((stream) => [stream.tlsRecords, stream.notTls]),
      [
        [1, undefined],
        [1, undefined],
      ],
    );
  });

  it('finds the marker across a segment border', () => {
    const [stream] = streams([
      { sequence: 9, syn: true },
      { sequence: 10, payload: Buffer.from('a mar') },
      { sequence: 15, payload: Buffer.from('ker') },
    ]);

    assert.equal(stream?.marked, true);
  });

  it('counts frames that the capture has cut as damaged', () => {
    const packets = readCapture(capture([frame({ sequence: 1, payload: record(10) })], 4));

    assert.deepEqual([packets.tcp.length, packets.damaged], [0, 1]);
  });

  it('leaves out a last packet that is still being written', () => {
    const file = capture([frame({ sequence: 1 }), frame({ sequence: 2 })]);

    assert.equal(readCapture(file.subarray(0, file.length - 5)).tcp.length, 1);
  });

  it('is read as far as it can be, whatever is in it', () => {
    const good = capture(
      [
        { sequence: 9, syn: true },
        { sequence: 10, payload: record(30) },
      ].map(frame),
    );
    check(
      fc.property(brokenBytes(fc.constant(good)), (bytes) => {
        const error = thrownBy(() => reportWire(readCapture(Buffer.from(bytes)), 'marker'));
        assert.ok(error === undefined || error instanceof RangeError, String(error));
      }),
      500,
    );
  });

  it('refuses a file that is no capture', () => {
    assert.throws(() => readCapture(Buffer.alloc(64)), /not a pcap file/);
  });
});

describe('the claim that pods talk through tunnels only', () => {
  const members = new Set(['10.0.0.1', '10.0.0.2']);
  const claim = (segments: readonly Segment[], tunnelPort: number) => {
    const report = reportWire(readCapture(capture(segments.map(frame))), 'marker');
    return claimTunnels(report, members, { tunnelPort, whole: true });
  };
  const good = [
    { sequence: 9, syn: true },
    { sequence: 10, payload: record(10) },
  ];

  it('holds for TLS on the tunnel port', () => {
    assert.deepEqual(claim(good, 15008), { streams: 1, bytes: 15, tlsRecords: 1, faults: [] });
  });

  it('does not hold for TLS on another port', () => {
    assert.match(claim(good, 15009).faults[0] ?? '', /is no tunnel \(15 bytes\)/);
  });

  it('does not hold for a connection attempt on another port, without a byte', () => {
    assert.match(claim([{ sequence: 9, syn: true }], 15009).faults[0] ?? '', /is no tunnel/);
  });

  it('does not look at what is outside the mesh', () => {
    assert.equal(claim([{ sequence: 9, syn: true, from: '10.0.0.9' }], 15009).faults.length, 0);
  });
});
