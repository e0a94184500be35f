// What a capture proves: which TCP ports were used between pods, and that what their streams carry are TLS records.
// RFC 8446 section 5.1: a record is type (20..23), legacy version 0x0301 or 0x0303, length up to 2^14 + 256.
import type { IpAddress } from '../../mesh/address.ts';
import type { Packets, TcpSegment } from './packets.ts';

/** One direction of one connection. */
export interface WireStream {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly bytes: number;
  readonly tlsRecords: number;
  /** The marker is in its bytes. */
  readonly marked: boolean;
  /** Undefined if every byte belongs to a TLS record (the last one may be cut off by the end of the capture). */
  readonly notTls?: string;
}

export interface WireReport {
  readonly packets: number;
  readonly streams: readonly WireStream[];
}

/** Puts the segments of each direction in order, reads them as TLS records and looks for the marker in them. */
export function reportWire(packets: Packets, marker: string): WireReport {
  const directions = new Map<string, TcpSegment[]>();
  for (const segment of packets.tcp) {
    const key = `${segment.source} ${segment.sourcePort} ${segment.destination} ${segment.destinationPort}`;
    const list = directions.get(key);
    if (list === undefined) directions.set(key, [segment]);
    else list.push(segment);
  }
  const streams = [...directions.values()].flatMap((segments) =>
    connectionsOf(segments).map((connection) => streamOf(connection, marker)),
  );
  return { packets: packets.tcp.length, streams };
}

/** A four-tuple may be used again: a SYN with another sequence number begins another connection. */
function connectionsOf(segments: readonly TcpSegment[]): readonly (readonly TcpSegment[])[] {
  const connections: TcpSegment[][] = [];
  let current: TcpSegment[] | undefined;
  for (const segment of segments) {
    const begins = segment.syn && current?.[0]?.sequence !== segment.sequence;
    if (current === undefined || begins) connections.push((current = []));
    current.push(segment);
  }
  return connections;
}

function streamOf(segments: readonly TcpSegment[], marker: string): WireStream {
  const first = segments[0] as TcpSegment;
  const { source, destination, sourcePort, destinationPort } = first;
  const { bytes, gap } = inOrder(segments);
  const begun = first.syn; // else the capture began in the middle of the stream: its first byte is no record's
  const read = readRecords(bytes);
  const fault = gap ? 'segments are missing from the capture' : read.fault;
  return {
    source,
    destination,
    sourcePort,
    destinationPort,
    bytes: bytes.length,
    tlsRecords: read.records,
    marked: segments.some(({ payload }) => payload.includes(marker)) || bytes.includes(marker),
    ...(begun && fault !== undefined ? { notTls: fault } : {}),
    ...(!begun && bytes.length > 0 ? { notTls: 'the capture began after this connection' } : {}),
  };
}

/** Payload by sequence number, without what was sent twice. */
function inOrder(segments: readonly TcpSegment[]): { bytes: Buffer; gap: boolean } {
  const first = segments[0] as TcpSegment;
  const start = (first.sequence + (first.syn ? 1 : 0)) >>> 0;
  const pieces = segments
    .filter((segment) => segment.payload.length > 0)
    .map((segment) => ({
      at: (segment.sequence + (segment.syn ? 1 : 0) - start) | 0,
      payload: segment.payload,
    }))
    .sort((a, b) => a.at - b.at);
  const parts: Buffer[] = [];
  let next = 0;
  let gap = false;
  for (const { at, payload } of pieces) {
    if (at > next) {
      gap = true;
      break;
    }
    if (at + payload.length <= next) continue;
    parts.push(payload.subarray(next - at));
    next = at + payload.length;
  }
  return { bytes: Buffer.concat(parts), gap };
}

function readRecords(bytes: Buffer): { records: number; fault?: string } {
  let at = 0;
  let records = 0;
  while (at + 5 <= bytes.length) {
    const type = bytes.readUInt8(at);
    const version = bytes.readUInt16BE(at + 1);
    const length = bytes.readUInt16BE(at + 3);
    if (type < 20 || type > 23 || (version !== 0x0301 && version !== 0x0303) || length > 16384 + 256)
      return { records, fault: `no TLS record at byte ${at}: ${bytes.subarray(at, at + 8).toString('hex')}` };
    records += 1;
    at += 5 + length;
  }
  return { records };
}

/** What holds for the streams between pods of the mesh, and what does not. */
export interface TunnelClaims {
  readonly streams: number;
  readonly bytes: number;
  readonly tlsRecords: number;
  /** Each a sentence; empty if every byte between these pods was TLS on the tunnel port. */
  readonly faults: readonly string[];
}

/** Looks at the streams whose both ends are pods of the mesh. With `whole`, streams must have been seen from their
 *  beginning and be TLS throughout; without, it is enough that they use the tunnel port and carry no marker. */
export function claimTunnels(
  report: WireReport,
  members: ReadonlySet<string>,
  options: { readonly tunnelPort: number; readonly whole: boolean },
): TunnelClaims {
  const own = report.streams.filter(
    (stream) => members.has(stream.source) && members.has(stream.destination),
  );
  const faults: string[] = [];
  for (const stream of own) {
    const name = `${stream.source}:${stream.sourcePort} -> ${stream.destination}:${stream.destinationPort}`;
    if (stream.sourcePort !== options.tunnelPort && stream.destinationPort !== options.tunnelPort)
      faults.push(`${name} is no tunnel (${stream.bytes} bytes)`);
    else if (stream.marked) faults.push(`${name} shows the plaintext marker`);
    else if (options.whole && stream.notTls !== undefined) faults.push(`${name}: ${stream.notTls}`);
  }
  const sum = (of: (stream: WireStream) => number): number =>
    own.reduce((total, stream) => total + of(stream), 0);
  return {
    streams: own.length,
    bytes: sum((stream) => stream.bytes),
    tlsRecords: sum((stream) => stream.tlsRecords),
    faults,
  };
}
