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

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
