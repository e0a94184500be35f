import { CulvertError } from '../runtime/errors.ts';

export type EngineErrorCode =
  /** The .node file is missing or cannot be loaded. */
  | 'ERR_CULVERT_ADDON_MISSING'
  /** The .node file is of another build than this TypeScript. */
  | 'ERR_CULVERT_ADDON_INCOMPATIBLE'
  /** A step of capture failed; what was done before it has been undone. */
  | 'ERR_CULVERT_CAPTURE_FAILED'
  /** The pod is not attached in this process. */
  | 'ERR_CULVERT_CAPTURE_UNKNOWN_POD'
  /** An argument that no kernel call could make sense of. */
  | 'ERR_CULVERT_ENGINE_ARGUMENT'
  /** A drain has begun: the engine takes no pod any more. */
  | 'ERR_CULVERT_ENGINE_DRAINING'
  /** The native engine refused a command or could not start. */
  | 'ERR_CULVERT_ENGINE_FAILED';

/** An error of the native addon: of the engine, or of capture. */
export class EngineError extends CulvertError {
  /** The kernel's errno as a positive number, 0 if no system call failed. */
  readonly errno: number;

  constructor(code: EngineErrorCode, message: string, options?: { cause?: unknown; errno?: number }) {
    super(code, message, options);
    this.errno = options?.errno ?? 0;
  }
}
