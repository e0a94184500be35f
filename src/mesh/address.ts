// IP addresses as the mesh compares them: one canonical text per address, so that a Map can be keyed by it.
// An IPv4-mapped IPv6 address (::ffff:10.0.0.1) is the IPv4 address: the kernel delivers it as one.
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
  if (text.includes('%')) return undefined;
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !(text.includes(':') && ipaddr.IPv6.isValid(text)))
    return undefined;
  return canonical(ipaddr.process(text));
}

/** `parseIp` for constants and for text that was checked before. Throws a RangeError otherwise. */
export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new RangeError(`not an IP address: ${text}`);
  return address;
}

/** From 4 or 16 bytes in network order; undefined for any other length. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  const parsed = ipaddr.fromByteArray([...bytes]);
  return canonical(parsed.kind() === 'ipv6' ? ipaddr.process(parsed.toString()) : parsed);
}

/** 4 or 16 bytes in network order. */
export function ipToBytes(address: IpAddress): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

export function isIpv6(address: IpAddress): boolean {
  return address.includes(':');
}

export function isLoopback(address: IpAddress): boolean {
  return ipaddr.parse(address).range() === 'loopback';
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
  for (let i = 0; i < bytes.length; i += 1) {
    const kept = Math.min(8, Math.max(0, length - i * 8));
    bytes[i] = (bytes[i] ?? 0) & (0xff << (8 - kept));
  }
  return { address: ipFromBytes(bytes) ?? address, length };
}

/** Families never contain each other: `0.0.0.0/0` holds no IPv6 address. */
export function cidrContains(block: Cidr, address: IpAddress): boolean {
  if (isIpv6(block.address) !== isIpv6(address)) return false;
  return cidr(address, block.length).address === block.address;
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
