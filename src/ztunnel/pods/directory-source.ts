// Pods from a directory: one JSON file per pod, `{"uid","namespace","name","netns"}`. A file that cannot be read keeps
// what it said before; a file that is gone is a pod that is gone.
import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { checkPrivateDirectory } from '../../runtime/private-files.ts';
import { ZtunnelError } from '../errors.ts';
import type { PodSession, PodSource } from './pod-source.ts';
import { lineBytesMax, parsePodFile } from './protocol.ts';

export interface DirectoryPodSourceOptions {
  readonly path: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Writers that make several changes cause one reading. */
  readonly settleMs?: number;
}

/** A file that cannot be used is read again after this, whether it changes or not: its namespace may not exist yet. */
const retryMs = 1000;

export class DirectoryPodSource implements PodSource {
  readonly #options: DirectoryPodSourceOptions;
  /** By file name. */
  readonly #known = new Map<string, { readonly content: string; readonly uid: string | undefined }>();
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: DirectoryPodSourceOptions) {
    this.#options = options;
  }

  async start(open: () => PodSession): Promise<void> {
    const session = open();
    const { path, logger, settleMs = 20 } = this.#options;
    try {
      // Who can write here decides what is captured.
      await checkPrivateDirectory(path);
      // Watched first and read then: a file that comes in between is seen at least once.
      this.#watcher = watch(path, () => this.#arm(session, settleMs));
      this.#watcher.on('error', (error) =>
        logger.error('watching pods failed', { path, error: error.message }),
      );
      await this.#read(session);
    } catch (cause) {
      this.#watcher?.close();
      const message = `cannot read pods from ${path}: ${messageOf(cause)}`;
      throw new ZtunnelError('ERR_CULVERT_POD_SOURCE', message, { cause });
    }
    session.snapshot();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watcher?.close();
    await this.#reading;
  }

  #arm(session: PodSession, ms: number): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      this.#reading = this.#reading.then(() => this.#readAgain(session));
    });
  }

  async #readAgain(session: PodSession): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#read(session);
    } catch (error) {
      this.#options.logger.error('cannot read the pods directory', { error: messageOf(error) });
    }
  }

  async #read(session: PodSession): Promise<void> {
    const { path } = this.#options;
    const names = (await readdir(path)).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
    for (const [name, { uid }] of [...this.#known]) {
      if (names.includes(name)) continue;
      this.#known.delete(name);
      if (uid !== undefined) session.remove(uid);
    }
    for (const name of names) await this.#readFile(session, name);
  }

  async #readFile(session: PodSession, name: string): Promise<void> {
    const before = this.#known.get(name);
    let content = '';
    try {
      content = await readFile(join(this.#options.path, name), 'utf8');
      if (content === before?.content) return;
      if (content.length > lineBytesMax) throw new Error(`longer than ${lineBytesMax} bytes`);
      const pod = parsePodFile(content);
      if (before?.uid !== undefined && before.uid !== pod.uid) session.remove(before.uid);
      session.add(pod);
      this.#known.set(name, { content, uid: pod.uid });
    } catch (error) {
      this.#known.set(name, { content: '', uid: before?.uid });
      this.#arm(session, retryMs);
      if (before?.uid !== undefined) session.keep(before.uid);
      this.#options.logger.warn('a pod file cannot be used', { file: name, error: messageOf(error) });
    }
  }
}
