import { CulvertError } from '../runtime/errors.ts';

export type XdsErrorCode =
  | 'ERR_CULVERT_XDS_RESOURCE' // a resource that cannot be understood
  | 'ERR_CULVERT_XDS_STREAM' // the control channel could not be opened or broke
  | 'ERR_CULVERT_XDS_LISTEN' // the server cannot listen
  | 'ERR_CULVERT_XDS_TOKEN' // no token to present
  | 'ERR_CULVERT_CERTIFICATE_REQUEST'; // the certificate service refused or is away

/** What goes wrong on the control channel. */
export class XdsError extends CulvertError {
  constructor(code: XdsErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** A field of a resource that cannot be understood. Caught where the resource is decoded: see `Decoded`. */
export class FieldError extends XdsError {
  /** As in the message definition: `addresses`, `rules[0].clauses[1].matches[0].source_ips`. */
  readonly field: string;

  constructor(field: string, reason: string) {
    super('ERR_CULVERT_XDS_RESOURCE', reason);
    this.field = field;
  }
}
