// The types a setting can have: how its text is read, how its value is shown, and what to say if it is not of the type.
import { isIPv6 } from 'node:net';
import { formatDuration, parseDuration } from './duration.ts';

export interface Setting<T> {
  /** What the text must be, as the end of the sentence "... is not": `a port (0 to 65535)`. */
  readonly expectation: string;
  /** Shown in help: `<port>`. */
  readonly placeholder: string;
  readonly fallback: T;
  readonly doc: string;
  /** Section of the help and of the page. */
  readonly group: string;
  /** Undefined: not of this type. A YAML number or boolean arrives as its text, a list as its items joined by commas. */
  readonly parse: (text: string) => T | undefined;
  /** A method, so that a table may hold settings of all types. */
  format(value: T): string;
}

/** A host and a port as a setting names them. */
export interface HostPort {
  /** A name, an address without brackets, or `*` for every address. */
  readonly host: string;
  readonly port: number;
}

type AnySettings = Readonly<Record<string, Setting<unknown>>>;

/** The values of a table of settings. Durations are milliseconds. */
export type SettingValues<S extends AnySettings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

const text = (value: unknown): string => String(value);

function make<T>(
  fallback: T,
  doc: string,
  type: Pick<Setting<T>, 'expectation' | 'placeholder' | 'parse'> & { format?: (value: T) => string },
): Setting<T> {
  return { group: '', format: text, ...type, fallback, doc };
}

export const setting = {
  /** 0 to 65535; 0 means any free port where it is one to listen on. */
  port: (fallback: number, doc: string): Setting<number> =>
    make(fallback, doc, {
      expectation: 'a port (0 to 65535)',
      placeholder: '<port>',
      parse: (value) => integerWithin(value, 0, 65535),
    }),

  integer: (fallback: number, range: { min: number; max: number }, doc: string): Setting<number> =>
    make(fallback, doc, {
      expectation: `a whole number from ${range.min} to ${range.max}`,
      placeholder: '<n>',
      parse: (value) => integerWithin(value, range.min, range.max),
    }),

  duration: (fallback: string, doc: string): Setting<number> =>
    make(parseDuration(fallback) ?? 0, doc, {
      expectation: 'a duration (500ms, 30s, 1h30m)',
      placeholder: '<duration>',
      parse: parseDuration,
      format: formatDuration,
    }),

  boolean: (fallback: boolean, doc: string): Setting<boolean> =>
    make(fallback, doc, {
      expectation: 'true or false',
      placeholder: '<true|false>',
      parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
    }),

  /** `host:port`, `[fd00::1]:port`, or `*:port` to listen on every address. */
  address: (fallback: string, doc: string): Setting<HostPort> =>
    make(parseHostPort(fallback) ?? { host: '*', port: 0 }, doc, {
      expectation: 'an address (host:port, [ipv6]:port or *:port)',
      placeholder: '<host:port>',
      parse: parseHostPort,
      format: formatHostPort,
    }),

  /** Empty: none. */
  path: (fallback: string, doc: string): Setting<string> =>
    make(fallback, doc, {
      expectation: 'a path',
      placeholder: '<path>',
      parse: (value) => (value.includes('\0') ? undefined : value),
    }),

  string: (fallback: string, doc: string): Setting<string> =>
    make(fallback, doc, { expectation: 'text', placeholder: '<text>', parse: (value) => value }),

  list: (fallback: readonly string[], doc: string): Setting<readonly string[]> =>
    make(fallback, doc, {
      expectation: 'a list, separated by commas',
      placeholder: '<a,b,...>',
      parse: items,
      format: (value) => value.join(','),
    }),

  oneOf: <const T extends string>(choices: readonly T[], fallback: NoInfer<T>, doc: string): Setting<T> =>
    make<T>(fallback, doc, {
      expectation: `one of ${choices.join(', ')}`,
      placeholder: `<${choices.join('|')}>`,
      parse: (value) => choices.find((choice) => choice === value),
    }),

  /** Each item is checked by `parse`, for instance an address block. */
  listOf: <T>(item: {
    readonly what: string;
    readonly parse: (text: string) => T | undefined;
    readonly format: (value: T) => string;
    readonly doc: string;
  }): Setting<readonly T[]> =>
    make<readonly T[]>([], item.doc, {
      expectation: `a list of ${item.what}, separated by commas`,
      placeholder: '<a,b,...>',
      parse: (value) => {
        const parsed = items(value).map(item.parse);
        return parsed.every((one) => one !== undefined) ? (parsed as T[]) : undefined;
      },
      format: (value) => value.map(item.format).join(','),
    }),
};

/** Puts settings into a section of the help. */
export function inGroup<S extends AnySettings>(group: string, settings: S): S {
  return Object.fromEntries(Object.entries(settings).map(([name, one]) => [name, { ...one, group }])) as S;
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function parseHostPort(value: string): HostPort | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(value);
  const host = match?.[2] ?? (isIPv6(match?.[1] ?? '') ? match?.[1] : undefined);
  const port = integerWithin(match?.[3] ?? '', 0, 65535);
  return host === undefined || port === undefined ? undefined : { host, port };
}

function integerWithin(value: string, min: number, max: number): number | undefined {
  if (!/^-?\d{1,15}$|^0x[0-9a-fA-F]{1,8}$/.test(value)) return undefined;
  const number = Number(value) || 0; // `-0` is 0
  return number >= min && number <= max ? number : undefined;
}

function items(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
