// Issues X.509 certificates (RFC 5280): SPIFFE leaves, serving certificates and authorities.
// No name constraints: verifiers differ on constraints over URIs, and rustls refuses a chain that has one.
import type { KeyObject } from 'node:crypto';
import { createHash, randomBytes } from 'node:crypto';
import type { Asn1 } from './asn1.ts';
import {
  bitString,
  boolean,
  children,
  contents,
  decode,
  encode,
  implicit,
  integer,
  octetString,
  oid,
  oids,
  sequence,
  set,
  tagged,
  time,
  utf8String,
} from './asn1.ts';
import type { Certificate } from './certificate.ts';
import { readCertificate } from './certificate.ts';
import type { Extension } from './extensions.ts';
import { buildExtension } from './extensions.ts';
import type { KeyPair } from './keys.ts';
import { exportSpki, signatureAlgorithm, signBytes } from './keys.ts';
import type { AltNames } from './names.ts';
import { encodeAltNames } from './names.ts';
import { toPem } from './pem.ts';

/** Who signs: a certificate of an authority and its key. */
export interface Issuer {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
}

export interface LeafRequest {
  readonly publicKey: KeyObject;
  readonly names: Partial<AltNames>;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface AuthorityRequest {
  readonly commonName: string;
  readonly organization: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** KeyUsage as a BIT STRING (RFC 5280 section 4.2.1.3). */
const digitalSignature = bitString(Uint8Array.of(0x80), 7);
const certSignAndCrlSign = bitString(Uint8Array.of(0x06), 1);

/** A certificate for both ends of a connection, PEM. The subject is empty: the names are all it has, so critical. */
export function issueLeaf(request: LeafRequest, issuer: Issuer): string {
  const extensions = [
    extension(oids.basicConstraints, true, sequence()),
    extension(oids.keyUsage, true, digitalSignature),
    extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth), oid(oids.clientAuth))),
    { oid: oids.subjectAltName, critical: true, value: encodeAltNames(request.names) },
  ];
  const name = issuer.certificate.subject;
  return sign({ ...request, subject: sequence(), issuer: decode(name), extensions }, issuer);
}

/** A root: an authority that signs itself, PEM. */
export function issueRoot(request: AuthorityRequest, key: KeyPair): string {
  const subject = distinguishedName(request);
  const material = { ...request, publicKey: key.publicKey, subject, issuer: subject };
  return sign({ ...material, extensions: authorityExtensions() }, { privateKey: key.privateKey });
}

/** An authority below another that signs leaves only, PEM. */
export function issueIntermediate(request: AuthorityRequest, publicKey: KeyObject, issuer: Issuer): string {
  const names = { subject: distinguishedName(request), issuer: decode(issuer.certificate.subject) };
  return sign({ ...request, publicKey, ...names, extensions: authorityExtensions(0) }, issuer);
}

interface Unsigned {
  readonly publicKey: KeyObject;
  readonly subject: Asn1;
  readonly issuer: Asn1;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Extension[];
}

function sign(
  unsigned: Unsigned,
  issuer: { readonly privateKey: KeyObject; readonly certificate?: Certificate },
): string {
  const spki = exportSpki(unsigned.publicKey);
  const ownKeyId = keyIdentifier(spki);
  const issuerKeyId = issuer.certificate?.subjectKeyId ?? ownKeyId;
  const keyIds = [
    extension(oids.subjectKeyIdentifier, false, octetString(ownKeyId)),
    extension(oids.authorityKeyIdentifier, false, sequence(implicit(0, issuerKeyId))),
  ];
  const algorithm = signatureAlgorithm(issuer.privateKey);
  const body = sequence(
    tagged(0, integer(Uint8Array.of(2))),
    integer(serialNumber()),
    algorithm,
    unsigned.issuer,
    sequence(time(unsigned.notBeforeMs), time(unsigned.notAfterMs)),
    unsigned.subject,
    decode(spki),
    tagged(3, sequence(...[...unsigned.extensions, ...keyIds].map(buildExtension))),
  );
  const signature = signBytes(issuer.privateKey, encode(body));
  return toPem('CERTIFICATE', encode(sequence(body, algorithm, bitString(signature))));
}

function authorityExtensions(pathLength?: number): readonly Extension[] {
  const limit = pathLength === undefined ? [] : [integer(Uint8Array.of(pathLength))];
  return [
    extension(oids.basicConstraints, true, sequence(boolean(true), ...limit)),
    extension(oids.keyUsage, true, certSignAndCrlSign),
  ];
}

function extension(dotted: string, critical: boolean, value: Asn1): Extension {
  return { oid: dotted, critical, value: encode(value) };
}

function distinguishedName(request: AuthorityRequest): Asn1 {
  const attribute = (dotted: string, text: string): Asn1 => set(sequence(oid(dotted), utf8String(text)));
  return sequence(
    attribute(oids.organization, request.organization),
    attribute(oids.commonName, request.commonName),
  );
}

/** SHA-1 over the key's BIT STRING (RFC 5280 section 4.2.1.2, method 1): an identifier, nothing depends on its strength. */
function keyIdentifier(spki: Uint8Array): Buffer {
  return createHash('sha1')
    .update(contents(children(decode(spki))[1]).subarray(1))
    .digest();
}

/** 127 random bits, positive, with no leading zero octet. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** An issuer from PEM; the first certificate of `certificatePem` counts. */
export function issuerOf(certificatePem: string, key: KeyPair): Issuer {
  return { certificate: readCertificate(certificatePem), privateKey: key.privateKey };
}
