// Where the controller's objects come from: a directory of manifests, or a Kubernetes API.
import type { ObjectSet } from '../objects/object-set.ts';
import type { Problem } from '../problem.ts';

export interface Source {
  /** What is in force. The set is immutable: compare by identity. Objects of files that did not change keep their identity. */
  objects(): ObjectSet;
  /** What is wrong with what was read, in the order of files. */
  problems(): readonly Problem[];
  /** False until everything has been read once and could be read. Never goes back. */
  readonly ready: boolean;
  /** Calls back after each change of objects, problems or readiness. Returns the function that ends it. */
  subscribe(changed: () => void): () => void;
  close(): void;
}
