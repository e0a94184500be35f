// Keys never leave node:crypto except as PKCS#8 PEM, for the engine and for the CA's own files.
import type { KeyObject } from 'node:crypto';
import { createPrivateKey, createPublicKey, generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { messageOf } from '../runtime/errors.ts';
import type { Asn1 } from './asn1.ts';
import { asn1Null, oid, oids, sequence } from './asn1.ts';
import { IdentityError } from './errors.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

const generate = promisify(generateKeyPair);

/** A new ECDSA P-256 key; generated on libuv's pool. */
export async function generateKey(): Promise<KeyPair> {
  const { privateKey, publicKey } = await generate('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey, privateKeyPem: exportPkcs8(privateKey) };
}

/** From PEM (PKCS#8, or the older forms that OpenSSL reads). Throws ERR_CULVERT_CERTIFICATE. */
export function readKey(pem: string): KeyPair {
  try {
    const privateKey = createPrivateKey(pem);
    return { privateKey, publicKey: createPublicKey(privateKey), privateKeyPem: exportPkcs8(privateKey) };
  } catch (error) {
    const message = `the private key cannot be read: ${messageOf(error)}`;
    throw new IdentityError('ERR_CULVERT_CERTIFICATE', message, { cause: error });
  }
}

/** The subjectPublicKeyInfo, DER. */
export function exportSpki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** AlgorithmIdentifier of the signatures that this key makes. */
export function signatureAlgorithm(key: KeyObject): Asn1 {
  const { oid: dotted, parameters } = algorithmOf(key);
  return sequence(oid(dotted), ...parameters);
}

/** Signs with the key's own algorithm; DER-encoded for ECDSA. */
export function signBytes(key: KeyObject, bytes: Uint8Array): Buffer {
  return sign(algorithmOf(key).hash, bytes, { key, dsaEncoding: 'der' });
}

function algorithmOf(key: KeyObject): {
  readonly oid: string;
  readonly hash: string;
  readonly parameters: readonly Asn1[];
} {
  if (key.asymmetricKeyType === 'ec')
    return key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
      ? { oid: oids.ecdsaWithSha384, hash: 'sha384', parameters: [] }
      : { oid: oids.ecdsaWithSha256, hash: 'sha256', parameters: [] };
  if (key.asymmetricKeyType === 'rsa')
    return { oid: oids.rsaWithSha256, hash: 'sha256', parameters: [asn1Null] };
  throw new IdentityError(
    'ERR_CULVERT_CERTIFICATE',
    `keys of type ${String(key.asymmetricKeyType)} are not supported: use ECDSA or RSA`,
  );
}

function exportPkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
