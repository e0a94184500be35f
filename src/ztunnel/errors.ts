import { CulvertError } from '../runtime/errors.ts';

export type ZtunnelErrorCode =
  /** What a pod agent sent is not a request of its protocol. */
  | 'ERR_CULVERT_POD_REQUEST'
  /** A pod's network namespace cannot be opened. */
  | 'ERR_CULVERT_POD_NETNS'
  /** A pod that was waited for did not run in time. */
  | 'ERR_CULVERT_POD_NOT_READY'
  /** A request names a pod that this node does not capture. */
  | 'ERR_CULVERT_POD_UNKNOWN'
  /** The node serves as many pods as its setting allows. */
  | 'ERR_CULVERT_POD_LIMIT'
  /** The pod source cannot listen or watch where it was told to. */
  | 'ERR_CULVERT_POD_SOURCE'
  /** The holder that started this process does not answer, or this process cannot take over from its predecessor. */
  | 'ERR_CULVERT_HOLDER'
  /** A question to `why` names something that the node does not know. */
  | 'ERR_CULVERT_WHY_UNKNOWN';

/** An error of the node proxy's own logic. */
export class ZtunnelError extends CulvertError {
  constructor(code: ZtunnelErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
