import { CulvertError } from '../../runtime/errors.ts';

export type CaErrorCode =
  | 'ERR_CULVERT_CA_FILES' // the authority's files are missing, loose, or do not fit together
  | 'ERR_CULVERT_CA_REQUEST' // a request that asks for something no caller may have
  | 'ERR_CULVERT_CA_DENIED' // a request that this caller may not make
  | 'ERR_CULVERT_CA_UNAVAILABLE'; // the authority cannot sign now

/** What keeps the certificate authority from starting or from signing. */
export class CaError extends CulvertError {
  constructor(code: CaErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
