// Addresses on the wire are 4 or 16 bytes; an IPv4-mapped one is the IPv4 address that it stands for.
import { create } from '@bufbuild/protobuf';
import type { Cidr, IpAddress } from '../mesh/address.ts';
import { cidr, ipFromBytes, ipToBytes, isIpv6 } from '../mesh/address.ts';
import type { NetworkAddress } from '../mesh/service.ts';
import type { GatewayAddress } from '../mesh/workload.ts';
import { portValue } from './decoded.ts';
import { FieldError } from './errors.ts';
import type * as wire from './generated/istio/workload/workload_pb.ts';
import {
  GatewayAddressSchema,
  NamespacedHostnameSchema,
  NetworkAddressSchema,
} from './generated/istio/workload/workload_pb.ts';

export function decodeIp(field: string, bytes: Uint8Array): IpAddress {
  const address = ipFromBytes(bytes);
  if (address === undefined)
    throw new FieldError(field, `an address has ${bytes.length} bytes; 4 or 16 are needed`);
  return address;
}

export function encodeIp(address: IpAddress): Uint8Array {
  return ipToBytes(address);
}

/** A block with its host bits cleared. */
export function decodeCidr(field: string, bytes: Uint8Array, length: number): Cidr {
  const address = decodeIp(field, bytes);
  const bits = bytes.length * 8;
  if (length > bits) throw new FieldError(field, `/${length} is longer than the address`);
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter prefix of a mapped address has no IPv4 counterpart.
  const mapped = bits === 128 && !isIpv6(address);
  if (mapped && length < 96) throw new FieldError(field, `/${length} of an IPv4-mapped address is ambiguous`);
  return cidr(address, mapped ? length - 96 : length);
}

export function decodeNetworkAddress(field: string, message: wire.NetworkAddress): NetworkAddress {
  if (message.length === undefined) return { network: message.network, ip: decodeIp(field, message.address) };
  const block = decodeCidr(field, message.address, message.length);
  const whole = isIpv6(block.address) ? 128 : 32;
  // A block of one is an address: look-ups by address find it without a walk over lengths.
  return block.length === whole
    ? { network: message.network, ip: block.address }
    : { network: message.network, ip: block.address, length: block.length };
}

export function encodeNetworkAddress(address: NetworkAddress): wire.NetworkAddress {
  return create(NetworkAddressSchema, {
    network: address.network,
    address: encodeIp(address.ip),
    ...(address.length !== undefined && { length: address.length }),
  });
}

/** The name by which an address may be asked for: `network/ip`, or `network/ip/length` for a block. */
export function addressAlias(address: NetworkAddress): string {
  const alias = `${address.network}/${address.ip}`;
  return address.length === undefined ? alias : `${alias}/${address.length}`;
}

export function decodeGateway(field: string, message: wire.GatewayAddress): GatewayAddress {
  const hbonePort = portValue(`${field}.hbone_mtls_port`, message.hboneMtlsPort);
  const { destination } = message;
  switch (destination.case) {
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      if (hostname === '') throw new FieldError(`${field}.hostname`, 'is empty');
      return { destination: { kind: 'hostname', namespace, hostname }, hbonePort };
    }
    case 'address': {
      const { network, address } = destination.value;
      const ip = decodeIp(`${field}.address`, address);
      return { destination: { kind: 'address', network, ip }, hbonePort };
    }
    // A gateway that cannot be found must not be skipped.
    default:
      throw new FieldError(`${field}.destination`, 'is missing or of an unknown kind');
  }
}

export function encodeGateway(gateway: GatewayAddress): wire.GatewayAddress {
  const { destination, hbonePort } = gateway;
  return create(GatewayAddressSchema, {
    hboneMtlsPort: hbonePort,
    destination:
      destination.kind === 'hostname'
        ? { case: 'hostname', value: create(NamespacedHostnameSchema, destination) }
        : { case: 'address', value: encodeNetworkAddress(destination) },
  });
}
