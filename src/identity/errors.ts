import { CulvertError } from '../runtime/errors.ts';

export type IdentityErrorCode =
  | 'ERR_CULVERT_ASN1' // bytes that are not the structure they should be
  | 'ERR_CULVERT_CSR' // a signing request that may not be signed
  | 'ERR_CULVERT_CERTIFICATE' // a certificate that may not be used
  | 'ERR_CULVERT_CERTIFICATE_FETCH' // no certificate could be had
  | 'ERR_CULVERT_CERTIFICATE_LIMIT' // too many identities at once
  | 'ERR_CULVERT_TRUST_BUNDLE'; // roots that cannot be used

/** Keys, requests and certificates that cannot be made, read or trusted. */
export class IdentityError extends CulvertError {
  constructor(code: IdentityErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
