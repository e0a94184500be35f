// Collects what translation finds wrong, with the place that each object was read from.
import type { AnyObject } from '../objects/metadata.ts';
import { refOf } from '../objects/metadata.ts';
import type { FieldPath, Problem, ProblemCode } from '../problem.ts';
import { formatPath, placeOf } from '../problem.ts';

/** A mistake that every pod makes is one mistake: beyond this many the rest is only counted. */
const findingsMax = 1000;

export class Findings {
  readonly #problems: Problem[] = [];
  #left = 0;

  error(object: AnyObject, code: ProblemCode, path: FieldPath, message: string): void {
    this.#add('error', object, code, path, message);
  }

  warning(object: AnyObject, code: ProblemCode, path: FieldPath, message: string): void {
    this.#add('warning', object, code, path, message);
  }

  /** Everything that was found, in the order in which it was. */
  problems(): readonly Problem[] {
    if (this.#left === 0) return this.#problems;
    const message = `${this.#left} more problems are not listed`;
    return [...this.#problems, { severity: 'error', code: 'invalid', message }];
  }

  #add(
    severity: Problem['severity'],
    object: AnyObject,
    code: ProblemCode,
    path: FieldPath,
    message: string,
  ): void {
    if (this.#problems.length >= findingsMax) {
      this.#left += 1;
      return;
    }
    const place = placeOf(object.origin, path);
    this.#problems.push({
      severity,
      code,
      message,
      object: refOf(object),
      field: formatPath(path),
      ...(place === undefined ? {} : { place }),
    });
  }
}
