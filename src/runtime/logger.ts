// One log line per event that an operator may want to know of; JSON for machines, text for people.
import { pino } from 'pino';
import type { Clock } from './clock.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  level: LogLevel;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines carry `scope` in front of what this one's carry. */
  child(scope: string): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  readonly write?: (line: string) => void;
}

export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const sink = options.format === 'json' ? { write } : { write: (line: string) => write(asText(line)) };
  const base = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    sink,
  );
  return wrap(base);
}

/** Says nothing; for tests and for one-shot commands. */
export const silentLogger: Logger = createLogger({ level: 'silent', format: 'json' });

function wrap(target: pino.Logger): Logger {
  return {
    get level() {
      return target.level as LogLevel;
    },
    set level(level: LogLevel) {
      target.level = level;
    },
    debug: (message, fields = {}) => target.debug(fields, message),
    info: (message, fields = {}) => target.info(fields, message),
    warn: (message, fields = {}) => target.warn(fields, message),
    error: (message, fields = {}) => target.error(fields, message),
    child: (scope) => wrap(target.child({ scope })),
  };
}

/** `2026-01-01T00:00:00.000Z info  scope: message key=value`. */
function asText(json: string): string {
  const { level, time, scope, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${printable(value)}`);
  const head = `${String(time)} ${String(level).padEnd(5)} ${scope === undefined ? '' : `${String(scope)}: `}`;
  return `${[head + String(msg), ...pairs].join(' ')}\n`;
}

function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]*$/.test(text) ? text : JSON.stringify(text);
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
    const now = this.#clock.now();
    const entry = this.#seen.get(key);
    if (entry !== undefined && now - entry.sinceMs < this.#intervalMs) {
      entry.suppressed += 1;
      return;
    }
    this.#seen.delete(key);
    const oldest = this.#seen.size >= this.#keysMax ? this.#seen.keys().next().value : undefined;
    if (oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.set(key, { sinceMs: now, suppressed: 0 });
    write(entry?.suppressed ?? 0);
  }
}
