// Says "something changed" for a set of directories. What changed is found by looking: events are only a reason to.
import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { join } from 'node:path';

export class DirectoryWatch {
  readonly #root: string;
  readonly #changed: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #watchers = new Map<string, FSWatcher>();

  /** `failed` is told of directories that cannot be watched (too many inotify watches); the owner polls anyway. */
  constructor(root: string, changed: () => void, failed: (error: unknown) => void) {
    this.#root = root;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** Watches exactly these directories from now on. True if one was added: it may have changed before the watch. */
  follow(directories: readonly string[]): boolean {
    const wanted = new Set(directories);
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    let added = false;
    for (const directory of wanted) {
      if (this.#watchers.has(directory)) continue;
      added = this.#open(directory) || added;
    }
    return added;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #open(directory: string): boolean {
    try {
      const watcher = watch(join(this.#root, directory), { persistent: false }, (event) => {
        // A watched directory that is itself renamed or removed reports once more and then never again.
        if (event === 'rename') this.#forget(directory, watcher);
        this.#changed();
      });
      watcher.on('error', () => {
        this.#forget(directory, watcher);
        this.#changed();
      });
      this.#watchers.set(directory, watcher);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #forget(directory: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(directory) === watcher) this.#watchers.delete(directory);
  }
}
