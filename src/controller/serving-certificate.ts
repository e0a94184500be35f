// The server's own certificate, renewed at half of its life for as long as the server runs.
import type { Clock, Timer } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { WallClockWatch } from '../runtime/wall-clock.ts';
import type { ServingMaterial } from './ca/authority.ts';

export interface ServingCertificateOptions {
  readonly issue: () => Promise<ServingMaterial>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const retryMs = 30_000;

export class ServingCertificate {
  readonly #options: ServingCertificateOptions;
  readonly first: ServingMaterial;
  #renewed: ((material: ServingMaterial) => void) | undefined;
  readonly #watch: WallClockWatch;
  #timer: Timer | undefined;
  #closed = false;

  private constructor(options: ServingCertificateOptions, first: ServingMaterial) {
    this.#options = options;
    this.first = first;
    this.#arm(first);
    // Half of its life has passed already, or it is not valid yet.
    this.#watch = new WallClockWatch({ clock: options.clock, moved: () => void this.#renew() });
  }

  /** Issues the first one. Rejects with what `issue` rejects with. */
  static async start(options: ServingCertificateOptions): Promise<ServingCertificate> {
    return new ServingCertificate(options, await options.issue());
  }

  /** Calls back with each certificate after the first. */
  onRenewed(renewed: (material: ServingMaterial) => void): void {
    this.#renewed = renewed;
  }

  close(): void {
    this.#closed = true;
    this.#watch.close();
    this.#timer?.cancel();
  }

  #arm(material: ServingMaterial): void {
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#timer = clock.after((material.notAfterMs - clock.now()) / 2, () => void this.#renew());
  }

  /** Never rejects: the old certificate serves on, and the next attempt is near. */
  async #renew(): Promise<void> {
    const { clock, issue, logger } = this.#options;
    try {
      const material = await issue();
      if (this.#closed) return;
      this.#renewed?.(material);
      this.#arm(material);
    } catch (error) {
      logger.error('cannot renew the serving certificate', { reason: messageOf(error) });
      this.#timer?.cancel();
      if (!this.#closed) this.#timer = clock.after(retryMs, () => void this.#renew());
    }
  }
}
