// Certificates that no issuer of ours would sign, made by OpenSSL's command line with a test authority's key.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestAuthority } from './certificates.ts';

export interface Forged {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface Forgery {
  /** Names as bytes of URIs: whatever is in them gets into the certificate. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly isAuthority?: boolean;
  /** In OpenSSL's notation; none if empty. */
  readonly extendedKeyUsage?: string;
  readonly subject?: string;
}

/** Signs with `issuer`, by default the authority's root; with 'itself' it is self-signed. */
export function forge(authority: TestAuthority, forgery: Forgery, issuer?: Forged | 'itself'): Forged {
  const directory = mkdtempSync(join(tmpdir(), 'culvert-forged-'));
  const file = (name: string, text?: string): string => {
    const path = join(directory, name);
    if (text !== undefined) writeFileSync(path, text);
    return path;
  };
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { stdio: 'pipe', env: { ...process.env, LD_PRELOAD: '' } });
  try {
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('key'));
    openssl('req', '-new', '-key', file('key'), '-subj', forgery.subject ?? '/O=forged', '-out', file('csr'));
    const signer =
      issuer === 'itself'
        ? ['-signkey', file('key')]
        : [
            '-CA',
            file('ca', issuer?.certificatePem ?? authority.rootPem),
            '-CAkey',
            file('ca-key', issuer?.keyPem ?? authority.rootKey.privateKeyPem),
          ];
    const extensions = file('extensions', extensionsOf(forgery));
    const serial = String(Math.floor(Math.random() * 2 ** 40) + 1);
    openssl(
      'x509',
      '-req',
      '-in',
      file('csr'),
      ...signer,
      '-set_serial',
      serial,
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      file('cert'),
    );
    return { certificatePem: readFileSync(file('cert'), 'utf8'), keyPem: readFileSync(file('key'), 'utf8') };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function extensionsOf({
  uris = [],
  dnsNames = [],
  isAuthority = false,
  extendedKeyUsage = 'serverAuth,clientAuth',
}: Forgery): string {
  const names = [
    ...uris.map((uri) => element(0x86, Buffer.from(uri, 'latin1'))),
    ...dnsNames.map((name) => element(0x82, Buffer.from(name, 'latin1'))),
  ];
  const san = element(0x30, Buffer.concat(names)).toString('hex');
  return [
    `basicConstraints=critical,CA:${isAuthority ? 'TRUE' : 'FALSE'}`,
    `keyUsage=critical,${isAuthority ? 'keyCertSign,cRLSign,digitalSignature' : 'digitalSignature'}`,
    ...(extendedKeyUsage === '' || isAuthority ? [] : [`extendedKeyUsage=${extendedKeyUsage}`]),
    ...(names.length === 0 ? [] : [`subjectAltName=DER:${san}`]),
    '',
  ].join('\n');
}

/** One DER element. */
function element(tag: number, content: Buffer): Buffer {
  const length: number[] = [];
  for (let left = content.length; left > 0; left = Math.floor(left / 256)) length.unshift(left % 256);
  const header = content.length < 128 ? [content.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.of(tag, ...header), content]);
}
