// IP addresses as the mesh compares them: one canonical text per address, so that a Map can be keyed by it.
// An IPv4-mapped IPv6 address (::ffff:10.0.0.1) is the IPv4 address: the kernel delivers it as one.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Canonical text of an address: `10.0.0.1`, `fd00::1`. Only the functions of this file make one. */
export type IpAddress = string & { readonly __ip: never };

export interface SocketAddress {
  readonly ip: IpAddress;
  readonly port: number;
}

/** An address block. `address` has its host bits cleared. */
export interface Cidr {
  readonly address: IpAddress;
  /** Prefix length in bits: 0..32 or 0..128. */
  readonly length: number;
}

/** The canonical form of `text`, or undefined if it is not an address. Zones (`%eth0`) are not accepted. */
export function parseIp(text: string): IpAddress | undefined {
  // Each connection brings a few, in their canonical form as a rule: IPv4 is read by hand.
  if (ipv4Bytes(text) !== undefined) return text as IpAddress;
  if (isIP(text) !== 6 || text.includes('%')) return undefined;
  return canonical(ipaddr.process(withHexTail(text)));
}

/** `::1.2.3.4` as `::102:304`, which it is: ipaddr.js takes it for the IPv4 address at its end. */
function withHexTail(text: string): string {
  const match = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (match === null) return text;
  const [a = 0, b = 0, c = 0, d = 0] = match.slice(2).map(Number);
  return `${match[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** `parseIp` for constants and for text that was checked before. Throws a RangeError otherwise. */
export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new RangeError(`not an IP address: ${text}`);
  return address;
}

/** From 4 or 16 bytes in network order; undefined for any other length. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length === 4) return bytes.join('.') as IpAddress;
  if (bytes.length !== 16) return undefined;
  if (isMapped(bytes)) return bytes.subarray(12).join('.') as IpAddress;
  return ipv6Text(bytes) as IpAddress;
}

/** 4 or 16 bytes in network order. */
export function ipToBytes(address: IpAddress): Uint8Array {
  return isIpv6(address) ? ipv6Bytes(address) : (ipv4Bytes(address) ?? new Uint8Array(4));
}

export function isIpv6(address: IpAddress): boolean {
  return address.includes(':');
}

export function isLoopback(address: IpAddress): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** `10.0.0.0/8`, or a bare address as a block of one. Undefined if it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = isIpv6(address) ? 128 : 32;
  if (slash < 0) return { address, length: bits };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > bits) return undefined;
  return cidr(address, Number(digits));
}

/** The block of `length` bits that holds `address`. */
export function cidr(address: IpAddress, length: number): Cidr {
  const bytes = ipToBytes(address);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = (bytes[i] ?? 0) & maskByte(length, i);
  return { address: (isIpv6(address) ? ipv6Text(bytes) : bytes.join('.')) as IpAddress, length };
}

/** Families never contain each other: `0.0.0.0/0` holds no IPv6 address. */
export function cidrContains(block: Cidr, address: IpAddress): boolean {
  if (isIpv6(block.address) !== isIpv6(address)) return false;
  const first = ipToBytes(block.address);
  return ipToBytes(address).every((byte, i) => (byte & maskByte(block.length, i)) === first[i]);
}

/** What a block of `length` bits says of byte `i` of an address. */
function maskByte(length: number, i: number): number {
  return (0xff << (8 - Math.min(8, Math.max(0, length - i * 8)))) & 0xff;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function formatSocketAddress(address: SocketAddress): string {
  return isIpv6(address.ip) ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

/** The reverse of `formatSocketAddress`; undefined for a host name, a missing or zero port, or junk. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const address = parseIp(match[1] ?? match[2] ?? '');
  const port = Number(match[3]);
  if (address === undefined || port === 0 || port > 65535) return undefined;
  if (match[2] !== undefined && isIpv6(address)) return undefined;
  return { ip: address, port };
}

function canonical(parsed: ipaddr.IPv4 | ipaddr.IPv6): IpAddress {
  return parsed.toString() as IpAddress;
}

/** Undefined if `text` is not four decimal numbers without leading zeros. */
function ipv4Bytes(text: string): Uint8Array | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  const bytes = new Uint8Array(4);
  let at = 0;
  let digits = 0;
  let number = 0;
  for (let i = 0; i <= text.length; i += 1) {
    const code = i === text.length ? dot : text.charCodeAt(i);
    if (code === dot) {
      if (digits === 0 || at === 4) return undefined;
      bytes[at] = number;
      at += 1;
      digits = number = 0;
      continue;
    }
    const digit = code - zero;
    if (digit < 0 || digit > 9 || (digits > 0 && number === 0)) return undefined;
    number = number * 10 + digit;
    digits += 1;
    if (number > 255) return undefined;
  }
  return at === 4 ? bytes : undefined;
}

const dot = 0x2e;
const zero = 0x30;

/** Of a canonical IPv6 address. */
function ipv6Bytes(address: IpAddress): Uint8Array {
  const bytes = new Uint8Array(16);
  const [head = '', tail] = address.split('::');
  const put = (groups: readonly string[], from: number): void =>
    groups.forEach((group, i) => {
      const value = Number.parseInt(group, 16);
      bytes[from + i * 2] = value >> 8;
      bytes[from + i * 2 + 1] = value & 0xff;
    });
  if (head !== '') put(head.split(':'), 0);
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  put(last, 16 - last.length * 2);
  return bytes;
}

/** RFC 5952: the longest run of zero groups, of at least two and the first among equals, is `::`. */
function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0));
  let start = 0;
  let length = 1;
  for (let from = 0; from < 8; from += 1) {
    let to = from;
    while (to < 8 && groups[to] === 0) to += 1;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return length < 2 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}

/** ::ffff:0:0/96. */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i += 1) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}
