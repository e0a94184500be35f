// Keeps a valid certificate for each identity that a node needs. One entry per identity moves between
// queued -> fetching -> resting (until half life) -> queued, or through failed (back-off) when a fetch does not work.
// The old certificate serves until it expires.
import { EventEmitter } from 'node:events';
import { Backoff } from '../runtime/backoff.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { WallClockWatch } from '../runtime/wall-clock.ts';
import { createSigningRequest } from './csr.ts';
import { IdentityError } from './errors.ts';
import type { FetchPriority } from './fetch-queue.ts';
import { FetchQueue } from './fetch-queue.ts';
import type { IssuedCertificate } from './issued-certificate.ts';
import { acceptChain } from './issued-certificate.ts';
import { generateKey } from './keys.ts';

export type { FetchPriority } from './fetch-queue.ts';
export type { IssuedCertificate } from './issued-certificate.ts';

export interface CertificateManagerOptions {
  /** Sends a request to the certificate service; answers leaf first, root last. */
  readonly requestCertificate: (
    identity: string,
    csrPem: string,
    signal: AbortSignal,
  ) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0..1, for jitter. */
  readonly random?: () => number;
  readonly concurrency?: number;
  readonly identitiesMax?: number;
  readonly requestTimeoutMs?: number;
  readonly backoffMs?: { readonly min: number; readonly max: number };
}

export interface CertificateFailure {
  readonly identity: string;
  readonly error: Error;
  readonly retryAtMs: number;
}

export interface CertificateStatus {
  readonly identity: string;
  readonly state: 'queued' | 'fetching' | 'resting' | 'failed';
  readonly serial?: string;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** When it will be renewed, or tried again. */
  readonly nextAttemptMs?: number;
  readonly lastError?: string;
}

interface CertificateEvents {
  /** A certificate was issued for the first time or anew. */
  renewed: [IssuedCertificate];
  failed: [CertificateFailure];
  /** The certificate of an identity ran out before a new one could be had. */
  expired: [string];
}

interface Waiter {
  readonly resolve: (certificate: IssuedCertificate) => void;
  readonly reject: (error: Error) => void;
}

interface Entry {
  readonly identity: string;
  readonly backoff: Backoff;
  readonly abort: AbortController;
  readonly waiters: Set<Waiter>;
  state: CertificateStatus['state'];
  certificate: IssuedCertificate | undefined;
  error: Error | undefined;
  nextAttemptMs: number | undefined;
  attempt: Timer | undefined;
  expiry: Timer | undefined;
}

/** Callers of `fetch` that may wait for one identity at once. */
const waitersMax = 1024;

/** Share of the remaining life after which a certificate is renewed, and how far that is spread. */
const renewal = { share: 0.5, spread: 0.1 } as const;

export class CertificateManager extends EventEmitter<CertificateEvents> {
  readonly #options: Required<CertificateManagerOptions>;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new FetchQueue();
  readonly #watch: WallClockWatch;
  #running = 0;
  #closed = false;

  constructor(options: CertificateManagerOptions) {
    super();
    this.#options = {
      random: Math.random,
      concurrency: 8,
      identitiesMax: 4096,
      requestTimeoutMs: 10_000,
      backoffMs: { min: 1_000, max: 150_000 },
      ...options,
    };
    this.#watch = new WallClockWatch({ clock: options.clock, moved: () => this.#clockMoved() });
  }

  /** Starts to keep a certificate for `identity`; again, it only raises the priority of a fetch that still waits.
   *  Throws ERR_CULVERT_CERTIFICATE_LIMIT. */
  need(identity: string, priority: FetchPriority): void {
    const known = this.#entries.get(identity);
    if (known === undefined) return this.#add(identity, priority);
    if (known.state === 'queued') this.#queue.push(identity, priority);
  }

  /** The certificate of an identity, fetched first if need be. Rejects with IdentityError; after a failure at once,
   *  while the next attempt is being waited for. */
  async fetch(identity: string, signal?: AbortSignal): Promise<IssuedCertificate> {
    signal?.throwIfAborted();
    this.need(identity, 'realtime');
    const current = this.current(identity);
    if (current !== undefined) return current;
    const entry = this.#entries.get(identity);
    if (entry === undefined) throw this.#stopped(identity);
    if (entry.state === 'failed' && entry.error !== undefined) throw entry.error;
    return this.#wait(entry, signal);
  }

  /** The certificate to present now: undefined if there is none yet or it has expired. */
  current(identity: string): IssuedCertificate | undefined {
    const certificate = this.#entries.get(identity)?.certificate;
    return certificate !== undefined && certificate.notAfterMs > this.#options.clock.now()
      ? certificate
      : undefined;
  }

  /** Stops keeping a certificate: its last workload has left. */
  forget(identity: string): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    this.#entries.delete(identity);
    this.#queue.remove(identity);
    entry.attempt?.cancel();
    entry.expiry?.cancel();
    entry.abort.abort();
    this.#settle(entry, (waiter) => waiter.reject(this.#stopped(identity)));
  }

  list(): readonly CertificateStatus[] {
    return [...this.#entries.values()].map((entry) => ({
      identity: entry.identity,
      state: entry.state,
      ...(entry.certificate !== undefined && {
        serial: entry.certificate.serial,
        notBeforeMs: entry.certificate.notBeforeMs,
        notAfterMs: entry.certificate.notAfterMs,
      }),
      ...(entry.nextAttemptMs !== undefined && { nextAttemptMs: entry.nextAttemptMs }),
      ...(entry.error !== undefined && { lastError: entry.error.message }),
    }));
  }

  /** Forgets everything and ends requests under way. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#watch.close();
    for (const identity of [...this.#entries.keys()]) this.forget(identity);
  }

  #add(identity: string, priority: FetchPriority): void {
    if (this.#closed) throw this.#stopped(identity);
    if (this.#entries.size >= this.#options.identitiesMax)
      throw new IdentityError(
        'ERR_CULVERT_CERTIFICATE_LIMIT',
        `no certificate for ${identity}: ${this.#options.identitiesMax} identities are in use on this node already`,
      );
    const { random, backoffMs } = this.#options;
    this.#entries.set(identity, {
      identity,
      backoff: new Backoff({ minMs: backoffMs.min, maxMs: backoffMs.max, random }),
      abort: new AbortController(),
      waiters: new Set(),
      state: 'queued',
      certificate: undefined,
      error: undefined,
      nextAttemptMs: undefined,
      attempt: undefined,
      expiry: undefined,
    });
    this.#queue.push(identity, priority);
    this.#startFetches();
  }

  #startFetches(): void {
    while (this.#running < this.#options.concurrency) {
      const entry = this.#entries.get(this.#queue.shift() ?? '');
      if (entry === undefined) return;
      this.#running += 1;
      entry.state = 'fetching';
      entry.nextAttemptMs = undefined;
      void this.#fetch(entry).finally(() => {
        this.#running -= 1;
        this.#startFetches();
      });
    }
  }

  /** Never rejects. An entry that was forgotten meanwhile is left alone. */
  async #fetch(entry: Entry): Promise<void> {
    try {
      const certificate = await this.#request(entry);
      if (this.#entries.get(entry.identity) === entry) this.#succeed(entry, certificate);
    } catch (error) {
      if (this.#entries.get(entry.identity) === entry) this.#fail(entry, asError(entry.identity, error));
    }
  }

  async #request(entry: Entry): Promise<IssuedCertificate> {
    const key = await generateKey();
    const timeout = new AbortController();
    const timer = this.#options.clock.after(this.#options.requestTimeoutMs, () =>
      timeout.abort(
        new IdentityError('ERR_CULVERT_CERTIFICATE_FETCH', 'the certificate service did not answer in time'),
      ),
    );
    const signal = AbortSignal.any([entry.abort.signal, timeout.signal]);
    try {
      const csr = createSigningRequest({ uris: [entry.identity] }, key);
      const chain = await raceAbort(this.#options.requestCertificate(entry.identity, csr, signal), signal);
      return acceptChain(entry.identity, chain, key, this.#options.clock.now());
    } finally {
      timer.cancel();
    }
  }

  #succeed(entry: Entry, certificate: IssuedCertificate): void {
    const { clock, random, logger } = this.#options;
    const lifeMs = certificate.notAfterMs - clock.now();
    const share = renewal.share + (random() - 0.5) * renewal.spread;
    entry.certificate = certificate;
    entry.error = undefined;
    entry.backoff.reset();
    this.#armExpiry(entry, certificate);
    this.#rest(entry, 'resting', Math.max(0, lifeMs * share));
    const until = new Date(certificate.notAfterMs).toISOString();
    logger.debug('certificate issued', { identity: entry.identity, serial: certificate.serial, until });
    this.emit('renewed', certificate);
    this.#settle(entry, (waiter) => waiter.resolve(certificate));
  }

  #fail(entry: Entry, error: Error): void {
    entry.error = error;
    const delayMs = entry.backoff.next();
    this.#rest(entry, 'failed', delayMs);
    const retryAtMs = this.#options.clock.now() + delayMs;
    const fields = { identity: entry.identity, error: error.message, retryMs: Math.round(delayMs) };
    this.#options.logger.warn('no certificate could be had', fields);
    this.emit('failed', { identity: entry.identity, error, retryAtMs });
    if (this.current(entry.identity) === undefined) this.#settle(entry, (waiter) => waiter.reject(error));
  }

  #rest(entry: Entry, state: 'resting' | 'failed', delayMs: number): void {
    entry.state = state;
    entry.nextAttemptMs = this.#options.clock.now() + delayMs;
    entry.attempt?.cancel();
    entry.attempt = this.#options.clock.after(delayMs, () => this.#attempt(entry));
  }

  #attempt(entry: Entry): void {
    const urgent = this.current(entry.identity) === undefined;
    entry.attempt?.cancel();
    entry.state = 'queued';
    this.#queue.push(entry.identity, urgent ? 'realtime' : 'background');
    this.#startFetches();
  }

  /** Dates are the wall clock's: renewal and expiry are armed anew. What failed may have failed for the clock, and what
   *  is not valid yet is of no use: both are asked for again at once. */
  #clockMoved(): void {
    const now = this.#options.clock.now();
    for (const entry of [...this.#entries.values()]) {
      const { certificate, state, nextAttemptMs = now } = entry;
      if (certificate !== undefined) this.#armExpiry(entry, certificate);
      if (state === 'queued' || state === 'fetching') continue;
      const early = certificate !== undefined && certificate.notBeforeMs > now;
      if (state === 'failed' || early || nextAttemptMs <= now) this.#attempt(entry);
      else this.#rest(entry, state, nextAttemptMs - now);
    }
  }

  #armExpiry(entry: Entry, { notAfterMs }: IssuedCertificate): void {
    const { clock } = this.#options;
    entry.expiry?.cancel();
    entry.expiry = clock.after(Math.max(0, notAfterMs - clock.now()), () => this.#expire(entry));
  }

  #expire(entry: Entry): void {
    this.#options.logger.error('certificate expired before it was renewed', {
      identity: entry.identity,
      ...(entry.error !== undefined && { error: entry.error.message }),
    });
    this.emit('expired', entry.identity);
  }

  #wait(entry: Entry, signal: AbortSignal | undefined): Promise<IssuedCertificate> {
    if (entry.waiters.size >= waitersMax)
      throw new IdentityError(
        'ERR_CULVERT_CERTIFICATE_LIMIT',
        `too many are waiting for the certificate of ${entry.identity}`,
      );
    const { promise, resolve, reject } = Promise.withResolvers<IssuedCertificate>();
    const waiter: Waiter = { resolve, reject };
    const aborted = (): void => reject(asError(entry.identity, signal?.reason));
    entry.waiters.add(waiter);
    signal?.addEventListener('abort', aborted, { once: true });
    return promise.finally(() => {
      entry.waiters.delete(waiter);
      signal?.removeEventListener('abort', aborted);
    });
  }

  #settle(entry: Entry, settle: (waiter: Waiter) => void): void {
    const waiters = [...entry.waiters];
    entry.waiters.clear();
    waiters.forEach(settle);
  }

  #stopped(identity: string): IdentityError {
    return new IdentityError(
      'ERR_CULVERT_CERTIFICATE_FETCH',
      `the certificate of ${identity} is not wanted any more`,
    );
  }
}

/** Ends when the signal does, even if the work ignores it. */
async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const aborted = (): void => reject(signal.reason as Error);
  if (signal.aborted) aborted();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}

function asError(identity: string, cause: unknown): Error {
  if (cause instanceof IdentityError) return cause;
  const message = `no certificate for ${identity}: ${messageOf(cause)}`;
  return new IdentityError('ERR_CULVERT_CERTIFICATE_FETCH', message, { cause });
}
