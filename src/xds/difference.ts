// What a client must be sent so that it holds what it should. Memoized: many streams make the same step.
import type { Resources } from './resource-index.ts';
import type { ServedResource } from './types.ts';

/** What a client is believed to hold, by name. */
export type Held = ReadonlyMap<string, { readonly version: string }>;

export interface NamedResource {
  /** The name it is sent under: its own, or the alias it was asked for by. */
  readonly name: string;
  readonly resource: ServedResource;
}

export interface Difference {
  readonly changed: readonly NamedResource[];
  readonly removed: readonly string[];
}

export const nothingHeld: Held = new Map();

const differences = new WeakMap<Held, WeakMap<Resources, Difference>>();

/** From what is held to what is wanted. Equal arguments give the same object. */
export function differenceOf(held: Held, wanted: Resources): Difference {
  let byWanted = differences.get(held);
  if (byWanted === undefined) differences.set(held, (byWanted = new WeakMap()));
  let difference = byWanted.get(wanted);
  if (difference === undefined) byWanted.set(wanted, (difference = compute(held, wanted)));
  return difference;
}

function compute(held: Held, wanted: Resources): Difference {
  const changed: NamedResource[] = [];
  for (const [name, resource] of wanted)
    if (held.get(name)?.version !== resource.version) changed.push({ name, resource });
  const removed: string[] = [];
  for (const name of held.keys()) if (!wanted.has(name)) removed.push(name);
  return { changed, removed };
}
