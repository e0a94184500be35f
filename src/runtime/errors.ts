/** The base of every error that Culvert throws on purpose: a stable code and a sentence an operator can act on. */
export class CulvertError extends Error {
  /** `ERR_CULVERT_...`; never changes its meaning. */
  readonly code: string;

  constructor(code: `ERR_CULVERT_${string}`, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

export type RuntimeErrorCode =
  | 'ERR_CULVERT_FILE_MODE' // a key, a token or a directory that others can reach or replace
  | 'ERR_CULVERT_LISTEN' // an endpoint cannot listen where it was told to
  | 'ERR_CULVERT_METRIC' // a metric was declared twice, differently
  | 'ERR_CULVERT_SETTING_FILE' // the configuration file cannot be read or is not a YAML map
  | 'ERR_CULVERT_SETTING_UNKNOWN' // no setting has this name
  | 'ERR_CULVERT_SETTING_VALUE'; // a value is not of its setting's type

/** What the services that every process shares have to say. */
export class RuntimeError extends CulvertError {
  constructor(code: RuntimeErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
