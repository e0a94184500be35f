import { CulvertError } from '../runtime/errors.ts';
import type { FieldPath } from './problem.ts';

export type ControllerErrorCode =
  | 'ERR_CULVERT_CONTROLLER_SOURCE' // the source of truth cannot be read at all
  | 'ERR_CULVERT_CONTROLLER_POLICY'; // a value of a policy that has no meaning; never leaves translation

/** What stops a controller. */
export class ControllerError extends CulvertError {
  constructor(code: ControllerErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** Thrown and caught within translation, where the policy becomes one that denies. */
export class PolicyNotUnderstood extends ControllerError {
  readonly path: FieldPath;

  constructor(path: FieldPath, message: string) {
    super('ERR_CULVERT_CONTROLLER_POLICY', message);
    this.path = path;
  }
}
