// Which objects of a namespace carry given labels, without looking at all of them.
import type { AnyObject } from '../objects/metadata.ts';
import type { Labels } from './labels.ts';

export class LabelIndex<T extends AnyObject> {
  readonly #byLabel = new Map<string, T[]>();
  readonly #byNamespace = new Map<string, T[]>();

  constructor(objects: Iterable<T>) {
    for (const object of objects) {
      const { namespace, labels } = object.metadata;
      push(this.#byNamespace, namespace, object);
      for (const [name, value] of Object.entries(labels))
        push(this.#byLabel, labelKey(namespace, name, value), object);
    }
  }

  /** The objects of a namespace that carry all of `labels`; every one of them for no labels. */
  select(namespace: string, labels: Labels): readonly T[] {
    let fewest: readonly T[] | undefined;
    for (const [name, value] of Object.entries(labels)) {
      const found = this.#byLabel.get(labelKey(namespace, name, value)) ?? [];
      if (fewest === undefined || found.length < fewest.length) fewest = found;
    }
    if (fewest === undefined) return this.#byNamespace.get(namespace) ?? [];
    return fewest.filter((object) => carries(object.metadata.labels, labels));
  }

  /** The same over all namespaces. */
  selectAnywhere(labels: Labels): readonly T[] {
    return [...this.#byNamespace.keys()].flatMap((namespace) => this.select(namespace, labels));
  }
}

function carries(has: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(has, name) && has[name] === value);
}

function labelKey(namespace: string, name: string, value: string): string {
  return `${namespace}/${name}=${value}`;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}
