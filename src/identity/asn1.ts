// DER by node-forge's ASN.1 module, in the few shapes that X.509 and PKCS#10 need. node-forge's pki helpers know no
// elliptic curves, so structures are built here and signatures come from node:crypto.
import { createRequire } from 'node:module';
import type forge from 'node-forge';
import { messageOf } from '../runtime/errors.ts';
import { IdentityError } from './errors.ts';

export type Asn1 = forge.asn1.Asn1;

// Two of its modules: all of it, RSA and PKCS#12 and TLS in JavaScript, would be 3 MB of an idle process.
const require = createRequire(import.meta.url);
const asn1 = require('node-forge/lib/asn1') as typeof forge.asn1;
const util = require('node-forge/lib/util') as typeof forge.util;
const { Class, Type } = asn1;

/** The published types lack the form with options. */
const readDer = asn1.fromDer as unknown as (
  bytes: forge.util.ByteStringBuffer,
  options: { readonly strict: boolean; readonly parseAllBytes: boolean; readonly decodeBitStrings: boolean },
) => Asn1;

export const oids = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecdsaWithSha512: '1.2.840.10045.4.3.4',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  extensionRequest: '1.2.840.113549.1.9.14',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

export function sequence(...values: readonly Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...values]);
}

export function set(...values: readonly Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [...values]);
}

export function oid(dotted: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

/** `bytes` are the two's complement, big-endian contents. */
export function integer(bytes: Uint8Array): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, binary(bytes));
}

export function boolean(value: boolean): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? '\xff' : '\x00');
}

export function octetString(bytes: Uint8Array): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, binary(bytes));
}

export function bitString(bytes: Uint8Array, unusedBits = 0): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + binary(bytes));
}

export function utf8String(text: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.UTF8, false, util.encodeUtf8(text));
}

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date) as string)
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date) as string);
}

export const asn1Null: Asn1 = asn1.create(Class.UNIVERSAL, Type.NULL, false, '');

/** A context-specific tag around elements. */
export function tagged(tag: number, ...values: readonly Asn1[]): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [...values]);
}

/** A context-specific tag in place of a primitive's own. */
export function implicit(tag: number, bytes: Uint8Array): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, false, binary(bytes));
}

export function encode(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

/** Reads exactly one DER element. Throws ERR_CULVERT_ASN1 for anything else. */
export function decode(bytes: Uint8Array): Asn1 {
  try {
    return readDer(util.createBuffer(binary(bytes)), {
      strict: true,
      parseAllBytes: true,
      decodeBitStrings: false,
    });
  } catch (error) {
    throw new IdentityError('ERR_CULVERT_ASN1', `not DER: ${messageOf(error)}`, { cause: error });
  }
}

/** The elements of a constructed value. */
export function children(value: Asn1 | undefined): readonly Asn1[] {
  if (value === undefined || !Array.isArray(value.value)) throw malformed('an element has no parts');
  return value.value;
}

/** The contents of a primitive value. */
export function contents(value: Asn1 | undefined): Buffer {
  if (value === undefined || typeof value.value !== 'string') throw malformed('an element has no contents');
  return Buffer.from(value.value, 'latin1');
}

export function readOid(value: Asn1 | undefined): string {
  if (value === undefined || !isUniversal(value, Type.OID))
    throw malformed('an object identifier is missing');
  return asn1.derToOid(util.createBuffer(binary(contents(value))));
}

export function isOctetString(value: Asn1 | undefined): value is Asn1 {
  return value !== undefined && isUniversal(value, Type.OCTETSTRING);
}

export function isBoolean(value: Asn1 | undefined): value is Asn1 {
  return value !== undefined && isUniversal(value, Type.BOOLEAN);
}

export function isContext(value: Asn1, tag: number): boolean {
  return (value.tagClass as number) === (Class.CONTEXT_SPECIFIC as number) && (value.type as number) === tag;
}

/** The undecoded bytes of the elements within the outermost SEQUENCE: what signatures are made over. */
export function rawElements(der: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(der);
  const outer = headerAt(bytes, 0);
  const elements: Buffer[] = [];
  for (let at = outer.start; at < outer.end;) {
    const { end } = headerAt(bytes, at);
    if (end > outer.end) throw malformed('an element is longer than what holds it');
    elements.push(bytes.subarray(at, end));
    at = end;
  }
  return elements;
}

/** Where the contents of the element at `at` start and end. Definite lengths only, as DER demands. */
function headerAt(bytes: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = bytes[at + 1];
  if (first === undefined) throw malformed('the end is missing');
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || lengthBytes > 4 || at + 2 + lengthBytes > bytes.length) throw malformed('bad length');
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  const start = at + 2 + lengthBytes;
  if (start + length > bytes.length) throw malformed('the end is missing');
  return { start, end: start + length };
}

function isUniversal(value: Asn1, type: forge.asn1.Type): boolean {
  return value.tagClass === Class.UNIVERSAL && value.type === type;
}

function malformed(what: string): IdentityError {
  return new IdentityError('ERR_CULVERT_ASN1', `malformed ASN.1: ${what}`);
}

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
