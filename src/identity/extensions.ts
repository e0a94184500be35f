// X.509 extensions as a list: in a certificate and in the extensionRequest of a signing request.
import type { Asn1 } from './asn1.ts';
import {
  boolean,
  children,
  contents,
  decode,
  isBoolean,
  isOctetString,
  octetString,
  oid,
  readOid,
  sequence,
} from './asn1.ts';
import { IdentityError } from './errors.ts';

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** DER of the value within the OCTET STRING. */
  readonly value: Buffer;
}

export function buildExtension(extension: Extension): Asn1 {
  const critical = extension.critical ? [boolean(true)] : [];
  return sequence(oid(extension.oid), ...critical, octetString(extension.value));
}

/** Reads a SEQUENCE OF Extension, DER. An extension that is given twice is refused (RFC 5280 section 4.2). */
export function readExtensions(der: Uint8Array): readonly Extension[] {
  const extensions = children(decode(der)).map(readExtension);
  if (new Set(extensions.map((extension) => extension.oid)).size !== extensions.length)
    throw new IdentityError('ERR_CULVERT_ASN1', 'malformed ASN.1: an extension is given twice');
  return extensions;
}

function readExtension(value: Asn1): Extension {
  const parts = children(value);
  const flag = parts[1];
  const critical = isBoolean(flag) && contents(flag)[0] !== 0;
  const wrapped = isBoolean(flag) ? parts[2] : flag;
  if (!isOctetString(wrapped))
    throw new IdentityError('ERR_CULVERT_ASN1', 'malformed ASN.1: an extension has no value');
  return { oid: readOid(parts[0]), critical, value: contents(wrapped) };
}
