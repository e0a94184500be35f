// A directory of manifests as a source of truth. It is looked at whenever the kernel reports a change and every few
// seconds anyway; each file is applied as a whole or not at all, and all files of one look in one step.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { ControllerError } from '../../errors.ts';
import type { ObjectSet } from '../../objects/object-set.ts';
import { objectSet } from '../../objects/object-set.ts';
import type { Problem } from '../../problem.ts';
import { formatProblem } from '../../problem.ts';
import type { Source } from '../source.ts';
import { DirectoryWatch } from './directory-watch.ts';
import type { HeldFile } from './held-file.ts';
import { replaceContent, unreadable } from './held-file.ts';
import { mergeFiles } from './merge.ts';
import type { FoundFile, Scan } from './scan.ts';
import { scanDirectory } from './scan.ts';
import { fileBytesMax, parseYamlFile } from './yaml-file.ts';

export interface DirectorySourceOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Quiet time after a change before looking: a file that is being written is left alone. */
  readonly quietMs?: number;
  /** Longest that a change waits for quiet. */
  readonly quietMsMax?: number;
  /** How long a file must be gone before its objects are: editors rename the old one away first. */
  readonly removalMs?: number;
  readonly pollMs?: number;
}

/** A write may not move a time stamp that is this young. */
const racyMs = 50;

interface Entry {
  readonly held: HeldFile;
  readonly stamp: string;
  readonly digest: string;
  readonly racy: boolean;
  readonly missingSinceMs?: number;
}

export class DirectorySource implements Source {
  readonly #options: Required<DirectorySourceOptions>;
  readonly #watch: DirectoryWatch;
  readonly #listeners = new Set<() => void>();
  #entries = new Map<string, Entry>();
  #owners: ReadonlyMap<string, string> = new Map();
  #objects: ObjectSet = objectSet([]);
  #problems: readonly Problem[] = [];
  #ready = false;
  #closed = false;
  #looking = false;
  #lookAgain = false;
  /** When the first event of the current burst came; 0 outside of one. */
  #firstEventMs = 0;
  #timer: Timer | undefined;

  private constructor(options: DirectorySourceOptions) {
    this.#options = { quietMs: 50, quietMsMax: 500, removalMs: 300, pollMs: 5000, ...options };
    this.#watch = new DirectoryWatch(
      options.directory,
      () => this.#schedule(this.#options.quietMs, true),
      (error) => options.logger.warn('cannot watch for changes; polling', { reason: messageOf(error) }),
    );
  }

  /** Reads everything once. Throws ERR_CULVERT_CONTROLLER_SOURCE if there is no such directory. */
  static async open(options: DirectorySourceOptions): Promise<DirectorySource> {
    const found = await stat(options.directory).catch((error: unknown) => messageOf(error));
    if (typeof found === 'string' || !found.isDirectory()) {
      const reason = typeof found === 'string' ? found : 'it is not a directory';
      throw new ControllerError(
        'ERR_CULVERT_CONTROLLER_SOURCE',
        `cannot read manifests from ${options.directory}: ${reason}`,
      );
    }
    const source = new DirectorySource(options);
    await source.#look();
    return source;
  }

  get ready(): boolean {
    return this.#ready;
  }

  objects(): ObjectSet {
    return this.#objects;
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watch.close();
    this.#listeners.clear();
  }

  /** Looks after `delayMs`. An event waits for quiet, but not for ever. */
  #schedule(delayMs: number, event = false): void {
    if (this.#closed) return;
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    const now = this.#options.clock.monotonic();
    if (event && this.#firstEventMs === 0) this.#firstEventMs = now;
    const dueMs = event
      ? Math.min(now + delayMs, this.#firstEventMs + this.#options.quietMsMax)
      : now + delayMs;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(Math.max(0, dueMs - now), () => void this.#look());
  }

  /** One look at a time; what happens meanwhile is looked at afterwards. Never rejects. */
  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#firstEventMs = 0;
    this.#lookAgain = false;
    let soon = false;
    try {
      const scan = await scanDirectory(this.#options.directory);
      const added = this.#watch.follow(scan.directories);
      soon = (await this.#take(scan)) || added;
    } catch (error) {
      this.#settle([this.#unscannable(error)], false);
    }
    this.#looking = false;
    this.#schedule(soon || this.#lookAgain ? this.#options.quietMs : this.#options.pollMs);
  }

  /** Brings `#entries` up to the scan. True if some file should be looked at again soon. */
  async #take(scan: Scan): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    const next = new Map<string, Entry>();
    let soon = false;
    for (const file of scan.files) {
      const entry = this.#entries.get(file.path);
      const same = entry !== undefined && entry.stamp === file.stamp && !entry.racy;
      const taken = same ? present(entry) : await this.#read(file, entry);
      next.set(file.path, taken);
      soon = soon || taken.racy;
    }
    for (const [path, entry] of this.#entries) {
      if (next.has(path)) continue;
      const missingSinceMs = entry.missingSinceMs ?? now;
      if (now - missingSinceMs >= this.#options.removalMs) continue;
      next.set(path, { ...entry, stamp: '', missingSinceMs });
      soon = true;
    }
    if (this.#closed) return false;
    this.#entries = new Map([...next].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#settle([], true);
    return soon;
  }

  async #read(file: FoundFile, entry: Entry | undefined): Promise<Entry> {
    const path = join(this.#options.directory, file.path);
    const racy = Math.abs(Date.now() - file.modifiedMs) < racyMs;
    const fields = { stamp: file.stamp, racy };
    try {
      if (file.size > fileBytesMax) throw new RangeError(`it is larger than ${fileBytesMax} bytes`);
      const bytes = await readFile(path);
      const digest = createHash('sha256').update(bytes).digest('base64');
      if (entry !== undefined && entry.digest === digest) return { ...fields, digest, held: entry.held };
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      const held = replaceContent(file.path, entry?.held, text, parseYamlFile(file.path, text));
      return { ...fields, digest, held };
    } catch (error) {
      return { ...fields, digest: '', held: unreadable(file.path, entry?.held, messageOf(error)) };
    }
  }

  #settle(extra: readonly Problem[], complete: boolean): void {
    if (this.#closed) return;
    const files = [...this.#entries].map(([path, entry]) => [path, entry.held.content] as const);
    const merged = mergeFiles(files, this.#owners);
    this.#owners = merged.owners;
    const problems = [
      ...extra,
      ...[...this.#entries.values()].flatMap((entry) => entry.held.problems),
      ...merged.problems,
    ];
    const ready =
      this.#ready || (complete && [...this.#entries.values()].every((entry) => entry.held.intact));
    const sameObjects = sameSet(this.#objects, merged.objects);
    const changed = !sameObjects || ready !== this.#ready || lines(problems) !== lines(this.#problems);
    if (!sameObjects) this.#objects = merged.objects;
    this.#problems = problems;
    this.#ready = ready;
    if (changed) for (const listener of [...this.#listeners]) listener();
  }

  #unscannable(error: unknown): Problem {
    return {
      severity: 'error',
      code: 'unreadable',
      message: `cannot be listed (${messageOf(error)}); what was read before stays in force`,
      place: { file: this.#options.directory },
    };
  }
}

/** The entry of a file that is there again, or still. */
function present(entry: Entry): Entry {
  const { missingSinceMs: _gone, ...rest } = entry;
  return rest;
}

function lines(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join('\n');
}

/** True if both hold the very same objects. */
function sameSet(a: ObjectSet, b: ObjectSet): boolean {
  const kinds = Object.keys(a) as (keyof ObjectSet)[];
  return kinds.every((kind) => {
    const [left, right] = [a[kind], b[kind]];
    if (Array.isArray(left) && Array.isArray(right))
      return left.length === right.length && left.every((item, index) => item === right[index]);
    const [before, after] = [left as ReadonlyMap<string, unknown>, right as ReadonlyMap<string, unknown>];
    return before.size === after.size && [...before].every(([key, object]) => after.get(key) === object);
  });
}
