// subjectAltName (RFC 5280 section 4.2.1.6), read from bytes: the text that OpenSSL prints cannot be told apart
// from a name that contains commas.
import type { Asn1 } from './asn1.ts';
import { children, contents, decode, encode, implicit, isContext, sequence } from './asn1.ts';
import type { IpAddress } from '../mesh/address.ts';
import { ipFromBytes, ipToBytes } from '../mesh/address.ts';

export interface AltNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ips: readonly IpAddress[];
  /** Names of other kinds (e-mail, directory, ...). */
  readonly others: number;
}

export const noAltNames: AltNames = { uris: [], dnsNames: [], ips: [], others: 0 };

const tags = { dns: 2, uri: 6, ip: 7 } as const;

/** The extension's value, DER. */
export function encodeAltNames(names: Partial<AltNames>): Buffer {
  return encode(
    sequence(
      ...(names.uris ?? []).map((uri) => implicit(tags.uri, Buffer.from(uri, 'latin1'))),
      ...(names.dnsNames ?? []).map((name) => implicit(tags.dns, Buffer.from(name, 'latin1'))),
      ...(names.ips ?? []).map((ip) => implicit(tags.ip, ipToBytes(ip))),
    ),
  );
}

/** Reads the extension's value. Throws ERR_CULVERT_ASN1. */
export function decodeAltNames(der: Uint8Array): AltNames {
  const names: readonly Asn1[] = children(decode(der));
  const ofKind = (tag: number): Buffer[] => names.filter((name) => isContext(name, tag)).map(contents);
  const uris = ofKind(tags.uri).map((bytes) => bytes.toString('latin1'));
  const dnsNames = ofKind(tags.dns).map((bytes) => bytes.toString('latin1'));
  const ips = ofKind(tags.ip)
    .map((bytes) => ipFromBytes(bytes))
    .filter((ip) => ip !== undefined);
  return { uris, dnsNames, ips, others: names.length - uris.length - dnsNames.length - ips.length };
}
