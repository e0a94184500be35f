import { CulvertError } from '../runtime/errors.ts';

export type PlaygroundErrorCode =
  | 'ERR_CULVERT_PLAYGROUND_MANIFEST'
  | 'ERR_CULVERT_PLAYGROUND_NETWORK'
  | 'ERR_CULVERT_PLAYGROUND_PROCESS'
  | 'ERR_CULVERT_PLAYGROUND_NOT_RUNNING'
  | 'ERR_CULVERT_PLAYGROUND_REQUIREMENT';

export class PlaygroundError extends CulvertError {
  constructor(code: PlaygroundErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
