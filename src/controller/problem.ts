// What is wrong with a manifest, and where. A problem never stops anything but the object it is about.

/** Stable names; a status condition or a metric may be keyed by them. */
export type ProblemCode =
  | 'unreadable'
  | 'yaml'
  | 'not-an-object'
  | 'invalid'
  | 'duplicate'
  | 'unsupported-kind'
  | 'unsupported-value'
  | 'http-ignored'
  | 'conflict'
  | 'missing-reference';

export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

export interface Problem {
  /** `error`: something that was asked for is not in force, or denied instead. `warning`: in force, but look at it. */
  readonly severity: 'error' | 'warning';
  readonly code: ProblemCode;
  /** One sentence without the place. */
  readonly message: string;
  readonly object?: ObjectRef;
  /** `spec.rules[0].from`; absent where the whole object is meant. */
  readonly field?: string;
  readonly place?: Place;
}

/** A field's way from the top of its object. */
export type FieldPath = readonly (string | number)[];

/** Where an object was read from; absent for one that has no file. */
export interface Origin {
  readonly file: string;
  /** The position of a field, or of the nearest field above it that exists. */
  position(path: FieldPath): { readonly line: number; readonly column: number } | undefined;
}

/** `spec.rules[0].to`. */
export function formatPath(path: FieldPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** `policies.yaml:12:5: error: AuthorizationPolicy shop/cart: spec.action: ...`. */
export function formatProblem(problem: Problem): string {
  const parts: string[] = [];
  if (problem.place !== undefined) {
    const { file, line, column } = problem.place;
    parts.push([file, line, column].filter((part) => part !== undefined).join(':'));
  }
  parts.push(problem.severity);
  if (problem.object !== undefined) parts.push(formatObjectRef(problem.object));
  if (problem.field !== undefined && problem.field !== '') parts.push(problem.field);
  parts.push(problem.message);
  return parts.join(': ');
}

/** `Pod shop/cart`, `Node node1`. */
export function formatObjectRef(ref: ObjectRef): string {
  return `${ref.kind} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
}

/** The place of a field of an object, for a problem. */
export function placeOf(origin: Origin | undefined, path: FieldPath): Place | undefined {
  if (origin === undefined) return undefined;
  return { file: origin.file, ...origin.position(path) };
}
