// Where a pod's links and maps are pinned: <bpffs>/culvert/<pod>/. What is pinned outlives the process.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CaptureAddon, checked } from './capture-native.ts';
import { EngineError } from './errors.ts';

const NAME_BYTES_MAX = 240;
/** Not a character of `pinName`: such a directory is what a replaced attachment left. */
const STALE_SUFFIX = '~stale';

/** A directory name for any pod id, and back. A dot is not allowed in bpffs, nor is a slash anywhere. */
export function pinName(podId: string): string {
  const name = [...Buffer.from(podId)]
    .map((byte) =>
      /[A-Za-z0-9_-]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
  if (name === '' || name.length > NAME_BYTES_MAX) {
    throw new EngineError('ERR_CULVERT_ENGINE_ARGUMENT', `not usable as a pod id: ${JSON.stringify(podId)}`);
  }
  return name;
}

export function podIdOfPin(name: string): string | undefined {
  try {
    return name.endsWith(STALE_SUFFIX) ? undefined : decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

export class PinStore {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Mounts bpffs at `bpffs` if nothing is mounted there. */
  static open(addon: CaptureAddon, bpffs: string): PinStore {
    checked(addon, bpffs, 'mount bpffs', addon.mountBpffs(bpffs));
    const root = join(bpffs, 'culvert');
    mkdirSync(root, { recursive: true, mode: 0o700 });
    return new PinStore(root);
  }

  directory(podId: string): string {
    return join(this.#root, pinName(podId));
  }

  has(podId: string): boolean {
    return existsSync(this.directory(podId));
  }

  make(podId: string): string {
    const directory = this.directory(podId);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  }

  /** Out of the way, still attached, until it is known whether its successor works. */
  setAside(podId: string): void {
    this.removeStale(podId);
    renameSync(this.directory(podId), this.directory(podId) + STALE_SUFFIX);
  }

  bringBack(podId: string): void {
    this.remove(podId);
    renameSync(this.directory(podId) + STALE_SUFFIX, this.directory(podId));
  }

  removeStale(podId: string): void {
    rmSync(this.directory(podId) + STALE_SUFFIX, { recursive: true, force: true });
  }

  remove(podId: string): void {
    rmSync(this.directory(podId), { recursive: true, force: true });
  }

  podIds(): string[] {
    return readdirSync(this.#root)
      .map(podIdOfPin)
      .filter((podId) => podId !== undefined);
  }
}
