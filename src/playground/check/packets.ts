// Reads a packet capture (classic pcap, as tcpdump writes it) down to TCP segments.
// https://www.tcpdump.org/manpages/pcap-savefile.5.html; RFC 791, RFC 8200, RFC 9293 section 3.1.
import type { IpAddress } from '../../mesh/address.ts';
import { ipFromBytes } from '../../mesh/address.ts';

export interface TcpSegment {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  readonly payload: Buffer;
}

export interface Packets {
  readonly tcp: readonly TcpSegment[];
  /** IP packets that are not TCP, such as neighbour discovery. */
  readonly other: number;
  /** Cut short by the capture, or not understood. */
  readonly damaged: number;
}

const ethernet = 1;

/** Throws a RangeError for a file that is no capture of an Ethernet link; a last packet cut off in writing is left out. */
export function readCapture(file: Buffer): Packets {
  if (file.length < 24) throw new RangeError('a capture has a header of 24 bytes');
  const magic = file.readUInt32LE(0);
  const little = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  if (!little && file.readUInt32BE(0) !== 0xa1b2c3d4 && file.readUInt32BE(0) !== 0xa1b23c4d)
    throw new RangeError('not a pcap file');
  const u32 = (at: number): number => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  if ((u32(20) & 0xffff) !== ethernet) throw new RangeError(`not an Ethernet capture: link type ${u32(20)}`);
  const tcp: TcpSegment[] = [];
  let other = 0;
  let damaged = 0;
  for (let at = 24; at + 16 <= file.length;) {
    const captured = u32(at + 8);
    const original = u32(at + 12);
    const frame = file.subarray(at + 16, at + 16 + captured);
    if (frame.length < captured) break;
    at += 16 + captured;
    const read = captured < original ? 'damaged' : readFrame(frame);
    if (read === 'damaged') damaged += 1;
    else if (read === 'other') other += 1;
    else tcp.push(read);
  }
  return { tcp, other, damaged };
}

function readFrame(frame: Buffer): TcpSegment | 'other' | 'damaged' {
  if (frame.length < 14) return 'damaged';
  const type = frame.readUInt16BE(12);
  if (type === 0x0800) return readIpv4(frame.subarray(14));
  if (type === 0x86dd) return readIpv6(frame.subarray(14));
  return 'other';
}

function readIpv4(packet: Buffer): TcpSegment | 'other' | 'damaged' {
  if (packet.length < 20) return 'damaged';
  const headerLength = (packet.readUInt8(0) & 0x0f) * 4;
  const total = packet.readUInt16BE(2);
  if (headerLength < 20 || total > packet.length || total < headerLength) return 'damaged';
  if (packet.readUInt8(9) !== 6) return 'other';
  if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return 'damaged'; // a fragment: none are expected on these links
  return readTcp(packet.subarray(12, 16), packet.subarray(16, 20), packet.subarray(headerLength, total));
}

function readIpv6(packet: Buffer): TcpSegment | 'other' | 'damaged' {
  if (packet.length < 40) return 'damaged';
  const end = 40 + packet.readUInt16BE(4);
  if (end > packet.length) return 'damaged';
  let next = packet.readUInt8(6);
  let at = 40;
  // Hop-by-hop, routing and destination options have a length in units of 8 bytes beyond the first.
  while ((next === 0 || next === 43 || next === 60) && at + 8 <= end) {
    next = packet.readUInt8(at);
    at += (packet.readUInt8(at + 1) + 1) * 8;
  }
  if (next === 44) return 'damaged';
  if (next !== 6) return 'other';
  return readTcp(packet.subarray(8, 24), packet.subarray(24, 40), packet.subarray(at, end));
}

function readTcp(source: Buffer, destination: Buffer, segment: Buffer): TcpSegment | 'damaged' {
  const sourceIp = ipFromBytes(source);
  const destinationIp = ipFromBytes(destination);
  if (segment.length < 20 || sourceIp === undefined || destinationIp === undefined) return 'damaged';
  const flags = segment.readUInt8(13);
  const offset = (segment.readUInt8(12) >> 4) * 4;
  if (offset < 20 || offset > segment.length) return 'damaged';
  return {
    source: sourceIp,
    destination: destinationIp,
    sourcePort: segment.readUInt16BE(0),
    destinationPort: segment.readUInt16BE(2),
    sequence: segment.readUInt32BE(4),
    fin: (flags & 1) !== 0,
    syn: (flags & 2) !== 0,
    rst: (flags & 4) !== 0,
    payload: segment.subarray(offset),
  };
}
