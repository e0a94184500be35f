// How one ztunnel follows another under the holder: when it has taken over all that was served, and until when it goes
// on accepting itself.
import { ZtunnelError } from './errors.ts';
import type { Handover, RestoredPod } from './handover.ts';
import type { Ztunnel } from './ztunnel.ts';

export interface SuccessionOptions {
  readonly ztunnel: Pick<Ztunnel, 'options' | 'pods' | 'mesh' | 'table'>;
  readonly handover: Handover;
}

export class Succession {
  readonly #ztunnel: SuccessionOptions['ztunnel'];
  readonly #handover: Handover;
  /** Pods of an earlier process that are not served yet. */
  readonly #missing = new Set<string>();
  readonly #restored = Promise.withResolvers<undefined>();
  #settled = false;
  #whenIdle: (() => void) | undefined;

  constructor({ ztunnel, handover }: SuccessionOptions) {
    this.#ztunnel = ztunnel;
    this.#handover = handover;
  }

  /** Another process serves until this one says `ready`. */
  get takesOver(): boolean {
    return this.#handover.takesOver;
  }

  /** Takes up the pods of an earlier process. */
  restore(): void {
    const { pods, options } = this.#ztunnel;
    this.#handover.restoreTo(options.logger.child('handover'), (pod: RestoredPod) => {
      if (!this.#settled) this.#missing.add(pod.announcement.uid);
      pods.restore(pod);
    });
  }

  /** Resolves when a successor serves. */
  get superseded(): Promise<void> {
    return this.#handover.superseded;
  }

  /** Resolves when all of them are served. Throws ERR_CULVERT_HOLDER, saying which are not, after `timeoutMs`. */
  async restored(timeoutMs?: number): Promise<void> {
    this.podsChanged();
    if (timeoutMs === undefined) return this.#restored.promise;
    const timer = this.#ztunnel.options.clock.after(timeoutMs, () =>
      this.#restored.reject(
        new ZtunnelError(
          'ERR_CULVERT_HOLDER',
          `cannot take over: still waiting for ${this.#waitingFor().join('; ')}`,
        ),
      ),
    );
    try {
      await this.#restored.promise;
    } finally {
      timer.cancel();
    }
  }

  /** This process serves: its predecessor, if there is one, may go. */
  ready(): void {
    this.#handover.ready();
  }

  podsChanged(): void {
    if (this.#settled || this.#waitingFor().length > 0) return;
    this.#settled = true;
    this.#missing.clear();
    this.#restored.resolve(undefined);
  }

  connectionClosed(): void {
    if (this.#ztunnel.table.size === 0) this.#whenIdle?.();
  }

  /**
   * Resolves when nobody needs this process's `accept` any more: a successor serves, or there will be none and nothing
   * is open, or `graceMs` are over.
   */
  async beforeDrain(graceMs: number): Promise<void> {
    const { clock, logger } = this.#ztunnel.options;
    if (this.#handover.isSuperseded) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = clock.after(graceMs, () => resolve(undefined));
    void this.#handover.superseded.then(() => resolve(undefined));
    this.#handover.replace(() => {
      logger.info('no successor comes: serving until nothing is open');
      this.#whenIdle = () => resolve(undefined);
      this.connectionClosed();
    });
    await promise;
    timer.cancel();
  }

  #waitingFor(): readonly string[] {
    const { mesh, pods } = this.#ztunnel;
    if (!mesh.isKnown) return ['the first complete configuration'];
    return pods.unsettled(this.#missing);
  }
}
