// Pods by namespace and name, as workloads name them. Several may have one name for a while: the old pod of a StatefulSet
// drains while the new one is already there.
import type { Pod } from './pod.ts';

export class PodNames {
  readonly #pods = new Map<string, readonly Pod[]>();

  add(pod: Pod): void {
    const key = keyOf(pod.announcement);
    this.#pods.set(key, [...(this.#pods.get(key) ?? []), pod]);
  }

  delete(pod: Pod): void {
    const key = keyOf(pod.announcement);
    const rest = this.#pods.get(key)?.filter((each) => each !== pod) ?? [];
    if (rest.length > 0) this.#pods.set(key, rest);
    else this.#pods.delete(key);
  }

  /** The one of them that takes connections: captured, and not on its way out. */
  accepting(name: { readonly namespace: string; readonly name: string }): Pod | undefined {
    return this.#pods
      .get(keyOf(name))
      ?.find((pod) => pod.attached !== undefined && !pod.draining && !pod.removed);
  }
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}
