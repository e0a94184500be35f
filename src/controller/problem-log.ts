// Says each problem once, and once that it is gone. A file that stays broken is one line, not one per look.
import type { Logger } from '../runtime/logger.ts';
import type { Problem } from './problem.ts';
import { formatProblem } from './problem.ts';

/** Lines per change; beyond it they are only counted. */
const linesMax = 100;

export class ProblemLog {
  readonly #logger: Logger;
  #known: ReadonlySet<string> = new Set();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Logs how these problems differ from those of the last call. */
  report(problems: readonly Problem[]): void {
    const next = new Map(problems.map((problem) => [formatProblem(problem), problem]));
    const appeared = [...next].filter(([line]) => !this.#known.has(line));
    const gone = [...this.#known].filter((line) => !next.has(line));
    for (const [line, { severity, code }] of appeared.slice(0, linesMax)) {
      if (severity === 'error') this.#logger.error(line, { code });
      else this.#logger.warn(line, { code });
    }
    if (appeared.length > linesMax)
      this.#logger.error('more problems', { count: appeared.length - linesMax });
    for (const line of gone.slice(0, linesMax)) this.#logger.info(`mended: ${line}`);
    this.#known = new Set(next.keys());
  }
}
