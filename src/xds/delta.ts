// One type of one stream of the incremental protocol, as the server sees it: what the client asked for, what it
// holds, and what it must be sent next. Pure: no stream, no clock.
//
//   request -> receive() -> next() -> response -> (outstanding until its nonce comes back) -> next() ...
//
// At most one response is outstanding; whatever changes meanwhile is in the next one, merged.
import type { Difference, Held, NamedResource } from './difference.ts';
import { differenceOf, nothingHeld } from './difference.ts';
import type { ResourceIndex, Resources } from './resource-index.ts';
import { indexOf } from './resource-index.ts';
import type { ServedResource } from './types.ts';

export interface DeltaRequest {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Honoured in the first request only. */
  readonly initialVersions: Readonly<Record<string, string>>;
  /** Empty for a request that answers no response. */
  readonly nonce: string;
  /** Message of the error_detail: the response of this nonce was rejected. */
  readonly rejection?: string;
}

/** `spontaneous`: answers nothing. `stale`: answers a response that is not the outstanding one.
 *  `excess`: more names than the bound; the stream must end. */
export type Receipt = 'ack' | 'nack' | 'spontaneous' | 'stale' | 'excess';

export interface DeltaPush extends Difference {
  readonly nonce: string;
}

export interface DeltaLimits {
  /** Names that a client may ask for one by one. */
  readonly namesMax: number;
  /** Encoded resources in one response; the rest follows in the next. */
  readonly bytesMax: number;
}

export class TypeSubscription {
  readonly #limits: DeltaLimits;
  readonly #names = new Set<string>();
  /** Names to be answered even if what the client holds is current. */
  readonly #asked = new Set<string>();
  #wildcard = false;
  #held: Held = nothingHeld;
  #first = true;
  /** A response is due even if it is empty. */
  #owed = false;
  /** The client let go of names: what is no longer wanted is forgotten without telling it. */
  #released = false;
  #sequence = 0;
  #outstanding: string | undefined;

  constructor(limits: DeltaLimits) {
    this.#limits = limits;
  }

  /** The nonce that is waited for. */
  get outstanding(): string | undefined {
    return this.#outstanding;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** Takes a request. `next` then says what to answer. */
  receive(request: DeltaRequest): Receipt {
    const opening = this.#first;
    if (opening) this.#begin(request);
    this.#subscribe(request);
    this.#unsubscribe(request);
    // What the first request lets go of was never sent.
    if (!opening && request.unsubscribe.length > 0) this.#released = true;
    if (this.#names.size > this.#limits.namesMax) return 'excess';
    if (request.nonce === '') return 'spontaneous';
    if (request.nonce !== this.#outstanding) return 'stale';
    this.#outstanding = undefined;
    return request.rejection === undefined ? 'ack' : 'nack';
  }

  /** What to send now: undefined while a response is outstanding or nothing is new. */
  next(current: Resources): DeltaPush | undefined {
    if (this.#outstanding !== undefined || this.#first) return undefined;
    const wanted = this.#wanted(current);
    if (this.#released) this.#forgetUnwanted(wanted);
    const answered = this.#asked.size > 0;
    const step = differenceOf(this.#held, wanted);
    const difference = answered ? withAnswers(step, this.#asked, indexOf(current)) : step;
    this.#asked.clear();
    if (difference.changed.length + difference.removed.length === 0 && !this.#owed) {
      this.#held = wanted;
      return undefined;
    }
    return this.#push(difference, wanted);
  }

  #begin(request: DeltaRequest): void {
    this.#first = false;
    this.#owed = true;
    const known = Object.entries(request.initialVersions);
    if (known.length > 0) this.#held = new Map(known.map(([name, version]) => [name, { version }]));
    // Asking for nothing at all asks for everything.
    if (request.subscribe.length === 0) this.#wildcard = true;
    // A client that asks by name and comes back names what it had asked for here, and only here.
    else if (!isWildcard(request)) for (const [name] of known) this.#names.add(name);
  }

  #subscribe(request: DeltaRequest): void {
    for (const name of request.subscribe) {
      if (this.#names.size > this.#limits.namesMax) return;
      if (name === '*') this.#wildcard = true;
      else {
        this.#names.add(name);
        const known = Object.hasOwn(request.initialVersions, name) ? request.initialVersions[name] : '';
        if (known === '') this.#asked.add(name);
      }
    }
    if (request.subscribe.length > 0) this.#owed = true;
  }

  #unsubscribe(request: DeltaRequest): void {
    for (const name of request.unsubscribe) {
      if (name === '*') this.#wildcard = false;
      this.#names.delete(name);
      this.#asked.delete(name);
    }
  }

  /** What the client should hold, by the name it is sent under. */
  #wanted(current: Resources): Resources {
    if (this.#names.size === 0) return this.#wildcard ? current : nothing;
    const wanted = new Map<string, ServedResource>(this.#wildcard ? current : []);
    const index = indexOf(current);
    for (const name of this.#names)
      for (const { name: sentAs, resource } of resolve(index, name)) wanted.set(sentAs, resource);
    return wanted;
  }

  #forgetUnwanted(wanted: Resources): void {
    this.#released = false;
    this.#held = new Map([...this.#held].filter(([name]) => wanted.has(name)));
  }

  #push(difference: Difference, wanted: Resources): DeltaPush {
    const cut = cutAt(difference.changed, this.#limits.bytesMax);
    const whole = cut === difference.changed.length;
    this.#sequence += 1;
    this.#outstanding = String(this.#sequence);
    this.#owed = !whole;
    if (whole) {
      this.#held = wanted;
      return { changed: difference.changed, removed: difference.removed, nonce: this.#outstanding };
    }
    const changed = difference.changed.slice(0, cut);
    const held = new Map(this.#held);
    for (const name of difference.removed) held.delete(name);
    for (const { name, resource } of changed) held.set(name, resource);
    this.#held = held;
    return { changed, removed: difference.removed, nonce: this.#outstanding };
  }
}

const nothing: Resources = new Map();

function isWildcard(request: DeltaRequest): boolean {
  return request.subscribe.includes('*') && !request.unsubscribe.includes('*');
}

/** What a name brings. A resource found by its alias is sent under both names: a client waits for the name it asked
 *  by, and keeps and removes the resource by its own. */
function* resolve(index: ResourceIndex, name: string): Generator<NamedResource> {
  for (const resource of index.named(name)) {
    yield { name: resource.name, resource };
    if (resource.name !== name) yield { name, resource };
    for (const along of index.broughtBy(resource.name)) yield { name: along.name, resource: along };
  }
}

/** Adds what was asked for and is held already, and the names that do not exist. */
function withAnswers(step: Difference, asked: ReadonlySet<string>, index: ResourceIndex): Difference {
  const changed = new Map(step.changed.map((entry) => [entry.name, entry]));
  const removed = new Set(step.removed);
  for (const name of asked) {
    let found = false;
    for (const entry of resolve(index, name)) {
      found = true;
      changed.set(entry.name, entry);
    }
    if (!found) removed.add(name);
  }
  return { changed: [...changed.values()], removed: [...removed] };
}

/** How many of the resources fit; at least one, so that there is progress. */
function cutAt(changed: readonly NamedResource[], bytesMax: number): number {
  let bytes = 0;
  for (const [index, { resource }] of changed.entries()) {
    bytes += resource.bytes.length + 256;
    if (bytes > bytesMax && index > 0) return index;
  }
  return changed.length;
}
