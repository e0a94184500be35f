// Addresses as texts of bits, in which a block is a prefix: `4` or `6` for the family, then a `0` or `1` for each bit.
import type { Cidr, IpAddress } from '../mesh/address.ts';
import { ipToBytes } from '../mesh/address.ts';

export type AddressBits = string;

export function addressBits(address: IpAddress): AddressBits {
  const bytes = ipToBytes(address);
  let bits = bytes.length === 4 ? '4' : '6';
  for (const byte of bytes) bits += octets[byte] ?? '';
  return bits;
}

/** What the bits of every address in the block, and of no other, begin with. */
export function blockBits(block: Cidr): AddressBits {
  return addressBits(block.address).slice(0, 1 + block.length);
}

const octets = Array.from({ length: 256 }, (_, byte) => byte.toString(2).padStart(8, '0'));
