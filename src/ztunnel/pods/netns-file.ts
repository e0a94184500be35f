import { fstatSync, openSync } from 'node:fs';
import type { FileDescriptor } from '../../engine/types.ts';
import { messageOf } from '../../runtime/errors.ts';
import { ZtunnelError } from '../errors.ts';

/** Opens a network namespace by its path; the caller closes it. Throws ERR_CULVERT_POD_NETNS. */
export function openNamespace(path: string): FileDescriptor {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    const message = `cannot open the network namespace ${path}: ${messageOf(cause)}`;
    throw new ZtunnelError('ERR_CULVERT_POD_NETNS', message, { cause });
  }
}

/** Whether both are open on the same namespace. While one is open its inode number is not given to another. */
export function isSameNamespace(a: FileDescriptor, b: FileDescriptor): boolean {
  const [left, right] = [fstatSync(a, { bigint: true }), fstatSync(b, { bigint: true })];
  return left.dev === right.dev && left.ino === right.ino;
}
