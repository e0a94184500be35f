import { CulvertError } from '../runtime/errors.ts';
import type { FieldPath } from './problem.ts';

/** What stops a controller: `ERR_CULVERT_CONTROLLER_SOURCE` (the source of truth cannot be read at all). */
export class ControllerError extends CulvertError {}

/** A value of a policy that has no meaning. Thrown and caught within translation, where the policy becomes one that
 *  denies. */
export class PolicyNotUnderstood extends ControllerError {
  readonly path: FieldPath;

  constructor(path: FieldPath, message: string) {
    super('ERR_CULVERT_CONTROLLER_POLICY', message);
    this.path = path;
  }
}
