// Signing requests (PKCS#10, RFC 2986): a workload's holds nothing but its SPIFFE id and its key.
import type { KeyObject } from 'node:crypto';
import { createPublicKey, verify } from 'node:crypto';
import { messageOf } from '../runtime/errors.ts';
import {
  bitString,
  children,
  contents,
  decode,
  encode,
  integer,
  isContext,
  oid,
  oids,
  rawElements,
  readOid,
  sequence,
  set,
  tagged,
} from './asn1.ts';
import { IdentityError } from './errors.ts';
import { buildExtension, readExtensions } from './extensions.ts';
import type { KeyPair } from './keys.ts';
import { exportSpki, signatureAlgorithm, signBytes } from './keys.ts';
import type { AltNames } from './names.ts';
import { decodeAltNames, encodeAltNames, noAltNames } from './names.ts';
import { fromPem, toPem } from './pem.ts';

export interface SigningRequest {
  readonly names: AltNames;
  readonly publicKey: KeyObject;
}

/** Far above what an honest request needs (about 500 bytes). */
const csrLengthMax = 16 * 1024;

const hashes: Readonly<Record<string, string>> = {
  [oids.ecdsaWithSha256]: 'sha256',
  [oids.ecdsaWithSha384]: 'sha384',
  [oids.ecdsaWithSha512]: 'sha512',
};

const curves: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1']);

/** A request for `names`, PEM: empty subject, and a critical subjectAltName since that is all there is. */
export function createSigningRequest(names: Partial<AltNames>, key: KeyPair): string {
  const altNames = { oid: oids.subjectAltName, critical: true, value: encodeAltNames(names) };
  const info = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    decode(exportSpki(key.publicKey)),
    tagged(0, sequence(oid(oids.extensionRequest), set(sequence(buildExtension(altNames))))),
  );
  const signature = signBytes(key.privateKey, encode(info));
  const request = sequence(info, signatureAlgorithm(key.privateKey), bitString(signature));
  return toPem('CERTIFICATE REQUEST', encode(request));
}

/** Reads a request and proves that its sender holds the key. Throws ERR_CULVERT_CSR with the reason. */
export function readSigningRequest(pem: string): SigningRequest {
  if (pem.length > csrLengthMax) throw refused(`longer than ${csrLengthMax} characters`);
  const [der, second] = [...fromPem('CERTIFICATE REQUEST', pem), ...fromPem('NEW CERTIFICATE REQUEST', pem)];
  if (der === undefined || second !== undefined) throw refused('not exactly one PEM CERTIFICATE REQUEST');
  try {
    return readRequestDer(der);
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'ERR_CULVERT_CSR') throw error;
    throw refused(messageOf(error), error);
  }
}

function readRequestDer(der: Buffer): SigningRequest {
  const [info, algorithm, signature] = children(decode(der));
  const [signed] = rawElements(der);
  const [, , spki, ...rest] = children(info);
  if (signed === undefined || spki === undefined) throw refused('parts are missing');
  const publicKey = createPublicKey({ key: encode(spki), format: 'der', type: 'spki' });
  if (!curves.has(publicKey.asymmetricKeyDetails?.namedCurve))
    throw refused('the key is not ECDSA P-256 or P-384');
  const hash = hashes[readOid(children(algorithm)[0])];
  if (hash === undefined) throw refused('the signature algorithm is not ECDSA with SHA-2');
  // The first octet of a BIT STRING counts unused bits.
  const proof = contents(signature).subarray(1);
  if (!verify(hash, signed, { key: publicKey, dsaEncoding: 'der' }, proof))
    throw refused('the signature does not prove possession of the key');
  const attributes = rest.find((element) => isContext(element, 0));
  return { names: attributes === undefined ? noAltNames : readNames(children(attributes)), publicKey };
}

function readNames(attributes: readonly Parameters<typeof children>[0][]): AltNames {
  const requests = attributes.filter(
    (attribute) => readOid(children(attribute)[0]) === oids.extensionRequest,
  );
  if (requests.length > 1) throw refused('more than one list of extensions');
  if (requests[0] === undefined) return noAltNames;
  const list = children(children(requests[0])[1])[0];
  if (list === undefined) throw refused('the list of extensions is missing');
  const altNames = readExtensions(encode(list)).find((extension) => extension.oid === oids.subjectAltName);
  return altNames === undefined ? noAltNames : decodeAltNames(altNames.value);
}

function refused(reason: string, cause?: unknown): IdentityError {
  return new IdentityError('ERR_CULVERT_CSR', `signing request refused: ${reason}`, { cause });
}
