// One log line per event that an operator may want to know of; JSON for machines, text for people.
import { pino } from 'pino';
import type { Clock } from './clock.ts';
import { standardError } from './log-output.ts';
import { redactSecrets } from './redact.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** The level of this logger's scope. Setting it sets the scope's own; at the root, everybody's who has none. */
  level: LogLevel;
  /** The levels of the whole tree, to be changed while it runs. */
  readonly levels: LogLevels;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines carry `scope`, behind this one's: `ztunnel.pods`. */
  child(scope: string): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  /** Standard error by default; see log-output.ts for when it cannot be written to. */
  readonly write?: (line: string) => void;
}

export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? ((line: string) => standardError().write(line));
  const form = options.format === 'json' ? (line: string) => line : asText;
  const sink = { write: (line: string) => write(form(redactSecrets(line))) };
  const base = pino(
    {
      level: 'trace', // LogLevels decides, for all scopes at once
      base: null,
      timestamp: timeField,
      formatters: { level: (level) => ({ level }) },
    },
    sink,
  );
  return new ScopedLogger(base, base, '', new LogLevels(options.level));
}

/** As pino's isoTime; the text is made once a millisecond, not once a line. */
function timeField(): string {
  const now = Date.now();
  if (now !== lastTime.ms) lastTime = { ms: now, field: `,"time":"${new Date(now).toISOString()}"` };
  return lastTime.field;
}

let lastTime = { ms: -1, field: '' };

/** Scopes that may have a level of their own: an operator sets a handful. */
const scopesMax = 64;

/** The level of each scope; a scope without one takes that of the scope it is in, at last the default. */
export class LogLevels {
  readonly #initial: LogLevel;
  #default: LogLevel;
  readonly #scopes = new Map<string, LogLevel>();
  /** Grows with each change, so that a logger can keep what it has looked up. */
  version = 0;

  constructor(initial: LogLevel) {
    this.#initial = initial;
    this.#default = initial;
  }

  get default(): LogLevel {
    return this.#default;
  }

  get scopes(): ReadonlyMap<string, LogLevel> {
    return this.#scopes;
  }

  set(level: LogLevel, scope = ''): void {
    this.version += 1;
    if (scope === '') this.#default = level;
    else if (this.#scopes.has(scope) || this.#scopes.size < scopesMax) this.#scopes.set(scope, level);
  }

  /** Back to what the process started with. */
  reset(): void {
    this.version += 1;
    this.#default = this.#initial;
    this.#scopes.clear();
  }

  of(scope: string): LogLevel {
    for (let name = scope; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      const level = this.#scopes.get(name);
      if (level !== undefined) return level;
    }
    return this.#default;
  }
}

class ScopedLogger implements Logger {
  readonly levels: LogLevels;
  readonly #base: pino.Logger;
  readonly #target: pino.Logger;
  readonly #scope: string;
  #rank = 0;
  #version = -1;

  constructor(base: pino.Logger, target: pino.Logger, scope: string, levels: LogLevels) {
    this.#base = base;
    this.#target = target;
    this.#scope = scope;
    this.levels = levels;
  }

  get level(): LogLevel {
    return this.levels.of(this.#scope);
  }

  set level(level: LogLevel) {
    this.levels.set(level, this.#scope);
  }

  debug(message: string, fields: LogFields = {}): void {
    if (this.#speaks(1)) this.#target.debug(fields, message);
  }

  info(message: string, fields: LogFields = {}): void {
    if (this.#speaks(2)) this.#target.info(fields, message);
  }

  warn(message: string, fields: LogFields = {}): void {
    if (this.#speaks(3)) this.#target.warn(fields, message);
  }

  error(message: string, fields: LogFields = {}): void {
    if (this.#speaks(4)) this.#target.error(fields, message);
  }

  child(scope: string): Logger {
    const name = this.#scope === '' ? scope : `${this.#scope}.${scope}`;
    return new ScopedLogger(this.#base, this.#base.child({ scope: name }), name, this.levels);
  }

  /** `rank` is the place of a level in `logLevels`. */
  #speaks(rank: number): boolean {
    if (this.#version !== this.levels.version) {
      this.#version = this.levels.version;
      this.#rank = logLevels.indexOf(this.levels.of(this.#scope));
    }
    return rank >= this.#rank;
  }
}

/** `2026-01-01T00:00:00.000Z info  scope: message key=value`. */
function asText(json: string): string {
  const { level, time, scope, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${printable(value)}`);
  const head = `${String(time)} ${String(level).padEnd(5)} ${scope === undefined ? '' : `${String(scope)}: `}`;
  return `${oneLine([head + String(msg), ...pairs].join(' '))}\n`;
}

function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]*$/.test(text) ? text : JSON.stringify(text);
}

/** Ends of lines, escapes and marks that turn the direction of writing come from peers and manifests: a line of the log
 *  that they could end would let them write the next one. */
function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Lets through the first line of a key and then one per interval, with the count of those left out. */
export class RateLimitedLog {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #keysMax: number;
  readonly #seen = new Map<string, { sinceMs: number; suppressed: number }>();

  constructor(options: { clock: Clock; intervalMs?: number; keysMax?: number }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs ?? 10_000;
    this.#keysMax = options.keysMax ?? 1024;
  }

  /** Calls `write` with the number of suppressed lines if `key` may speak now. */
  try(key: string, write: (suppressed: number) => void): void {
    const now = this.#clock.monotonic();
    const entry = this.#seen.get(key);
    if (entry !== undefined && now - entry.sinceMs < this.#intervalMs) {
      entry.suppressed += 1;
      return;
    }
    this.#seen.delete(key);
    // By age, since a key moves to the end when it speaks. A flood of keys must not become a flood of lines: while the
    // oldest may not speak again, a new one may not either.
    const [oldest] = this.#seen.size >= this.#keysMax ? this.#seen : [];
    if (oldest !== undefined && now - oldest[1].sinceMs < this.#intervalMs) return;
    if (oldest !== undefined) this.#seen.delete(oldest[0]);
    this.#seen.set(key, { sinceMs: now, suppressed: 0 });
    write(entry?.suppressed ?? 0);
  }
}

/** Says nothing; for tests and for one-shot commands. Last, since it needs the classes above as the module loads. */
export const silentLogger: Logger = createLogger({ level: 'silent', format: 'json' });
