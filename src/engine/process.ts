// What holds for the process as a whole, where it takes a system call that Node does not make.
import { loadAddon } from './addon.ts';
import { EngineError } from './errors.ts';

/**
 * From here on no core of this process is written, and no other process of the same user may read its memory or attach
 * to it. Root still may. Throws ERR_CULVERT_ADDON_MISSING or ERR_CULVERT_ENGINE_FAILED.
 */
export function keepMemoryPrivate(): void {
  const keep = loadAddon()['keepMemoryPrivate'] as () => number;
  const errno = keep();
  if (errno !== 0)
    throw new EngineError(
      'ERR_CULVERT_ENGINE_FAILED',
      'this process cannot be kept from dumping its memory',
      {
        errno,
      },
    );
}
