// Reading certificates: what is needed to present, renew and trust one.
import { X509Certificate } from 'node:crypto';
import { messageOf } from '../runtime/errors.ts';
import { children, contents, decode, encode, isContext, oids, rawElements } from './asn1.ts';
import { IdentityError } from './errors.ts';
import type { Extension } from './extensions.ts';
import { readExtensions } from './extensions.ts';
import type { AltNames } from './names.ts';
import { decodeAltNames, noAltNames } from './names.ts';
import { fromPem, toPem } from './pem.ts';

export interface Certificate {
  /** This certificate alone. */
  readonly pem: string;
  readonly x509: X509Certificate;
  readonly names: AltNames;
  /** Hex, upper case. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly isAuthority: boolean;
  /** DER of the subject's name. */
  readonly subject: Buffer;
  readonly subjectKeyId?: Buffer;
}

/** Reads the first certificate of a PEM text. Throws ERR_CULVERT_CERTIFICATE. */
export function readCertificate(pem: string): Certificate {
  const der = fromPem('CERTIFICATE', pem)[0];
  if (der === undefined) throw unusable('no certificate in the PEM text');
  try {
    return readDer(der);
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'ERR_CULVERT_CERTIFICATE') throw error;
    throw unusable(messageOf(error), error);
  }
}

function readDer(der: Buffer): Certificate {
  const x509 = new X509Certificate(der);
  const [body] = rawElements(der);
  const fields = children(decode(body ?? Buffer.alloc(0)));
  // version, serialNumber, signature, issuer, validity, subject: a version 1 certificate leaves out the first.
  const first = fields[0];
  const subject = fields[first !== undefined && isContext(first, 0) ? 5 : 4];
  if (subject === undefined) throw unusable('the subject is missing');
  const wrapped = fields.find((field) => isContext(field, 3));
  const list = wrapped === undefined ? undefined : children(wrapped)[0];
  const extensions = list === undefined ? [] : readExtensions(encode(list));
  const find = (oid: string): Extension | undefined => extensions.find((extension) => extension.oid === oid);
  // OpenSSL reads a time that is none, and a comparison with NaN never finds it expired.
  const [notBeforeMs, notAfterMs] = [Date.parse(x509.validFrom), Date.parse(x509.validTo)];
  if (Number.isNaN(notBeforeMs) || Number.isNaN(notAfterMs)) throw unusable('its validity is not a time');
  readPublicKey(x509);
  const altNames = find(oids.subjectAltName);
  const keyId = find(oids.subjectKeyIdentifier);
  return {
    pem: toPem('CERTIFICATE', der),
    x509,
    names: altNames === undefined ? noAltNames : decodeAltNames(altNames.value),
    serial: x509.serialNumber,
    notBeforeMs,
    notAfterMs,
    isAuthority: x509.ca,
    subject: encode(subject),
    ...(keyId !== undefined && { subjectKeyId: contents(decode(keyId.value)) }),
  };
}

/** OpenSSL looks at the key only when it is asked for: here, and not in the middle of a comparison. */
function readPublicKey(x509: X509Certificate): void {
  try {
    void x509.publicKey;
  } catch (error) {
    throw unusable(`its key cannot be read (${messageOf(error)})`, error);
  }
}

function unusable(reason: string, cause?: unknown): IdentityError {
  return new IdentityError('ERR_CULVERT_CERTIFICATE', `certificate cannot be used: ${reason}`, { cause });
}
