// Undoing in reverse what a transaction did.
export class UndoLog {
  #steps: (() => void)[] = [];

  /** Called once for each step that changed something. */
  add(undo: () => void): void {
    this.#steps.push(undo);
  }

  /** Undoes everything, newest first. Failures do not stop it; they are returned. */
  rollBack(): unknown[] {
    const failures: unknown[] = [];
    for (const undo of this.#steps.splice(0).reverse()) {
      try {
        undo();
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }
}
