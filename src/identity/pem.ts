import { IdentityError } from './errors.ts';

const block = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n?-----END \1-----/g;

/** 64 characters a line, ending in a newline (RFC 7468). */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The DER of every block with this label, in order. Text between blocks is ignored. */
export function fromPem(label: string, text: string): readonly Buffer[] {
  return [...text.matchAll(block)]
    .filter((match) => match[1] === label)
    .map((match) => Buffer.from(match[2] ?? '', 'base64'));
}

/** Splits a bundle into one PEM per certificate. Throws ERR_CULVERT_CERTIFICATE if there is none. */
export function splitCertificates(text: string): readonly string[] {
  const certificates = fromPem('CERTIFICATE', text);
  if (certificates.length === 0)
    throw new IdentityError('ERR_CULVERT_CERTIFICATE', 'no certificate in the PEM text');
  return certificates.map((der) => toPem('CERTIFICATE', der));
}
