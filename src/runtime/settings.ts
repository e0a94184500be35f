// Settings come from three places: a flag wins over an environment variable, that over the configuration file, that
// over the default. One table per process says what there is; help, the documentation page and the checks read it.
import { readFile } from 'node:fs/promises';
import { RuntimeError, messageOf } from './errors.ts';
import { nearest } from './nearest-name.ts';
import type { Setting, SettingValues } from './setting-types.ts';

export { formatHostPort, inGroup, setting } from './setting-types.ts';
export type { HostPort, Setting, SettingValues } from './setting-types.ts';

/** By name, in camelCase: `drainTimeout` is --drain-timeout, CULVERT_DRAIN_TIMEOUT and `drainTimeout:` in the file. */
export type SettingsTable = Readonly<Record<string, Setting<unknown>>>;

export type SettingSource = 'flag' | 'environment' | 'file' | 'default';

export interface LoadedSettings<S extends SettingsTable> {
  readonly values: SettingValues<S>;
  /** Where each value came from. */
  readonly sources: Readonly<Record<keyof S & string, SettingSource>>;
}

export interface SettingsInput {
  /** By setting's name; undefined: not given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of the configuration file; undefined: none. */
  readonly file?: string;
  /** Environment variables that others of this machine's processes know: not a mistake. */
  readonly foreignVariables?: readonly string[];
}

/** `drainTimeout` -> `--drain-timeout`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `drainTimeout` -> `CULVERT_DRAIN_TIMEOUT`. */
export function variableOf(name: string): string {
  return `CULVERT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Reads and checks all of a table's settings. Throws a RuntimeError that names the source, the setting, the value and
 *  what was expected; for a name that is none, the nearest one. */
export async function loadSettings<S extends SettingsTable>(
  table: S,
  input: SettingsInput,
): Promise<LoadedSettings<S>> {
  checkVariables(table, input);
  const fromFile =
    input.file === undefined ? new Map<string, Given>() : await readSettings(table, input.file);
  const values: Record<string, unknown> = {};
  const sources: Record<string, SettingSource> = {};
  for (const [name, one] of Object.entries(table)) {
    const given = firstGiven(name, input, fromFile);
    values[name] = given === undefined ? one.fallback : parse(one, given);
    sources[name] = given?.source ?? 'default';
  }
  return { values, sources } as LoadedSettings<S>;
}

/** The values in force with their sources, for `/config_dump` and for the log at start. */
export function describeSettings<S extends SettingsTable>(
  table: S,
  loaded: LoadedSettings<S>,
): Readonly<Record<string, { readonly value: string; readonly source: SettingSource }>> {
  return Object.fromEntries(
    Object.entries(table).map(([name, one]) => [
      name,
      { value: one.format(loaded.values[name]), source: loaded.sources[name] ?? 'default' },
    ]),
  );
}

interface Given {
  readonly source: Exclude<SettingSource, 'default'>;
  /** How the message calls it: `--drain-timeout`, `CULVERT_DRAIN_TIMEOUT`, `culvert.yaml:3:5: drainTimeout`. */
  readonly label: string;
  readonly text: string;
}

function firstGiven(
  name: string,
  input: SettingsInput,
  fromFile: ReadonlyMap<string, Given>,
): Given | undefined {
  const flag = input.flags[name];
  if (flag !== undefined) return { source: 'flag', label: flagOf(name), text: flag };
  const variable = variableOf(name);
  const text = input.environment[variable];
  if (text !== undefined && text !== '') return { source: 'environment', label: variable, text };
  return fromFile.get(name);
}

function parse(one: Setting<unknown>, given: Given): unknown {
  const value = one.parse(given.text);
  if (value !== undefined) return value;
  throw new RuntimeError(
    'ERR_CULVERT_SETTING_VALUE',
    `${given.label}: "${shown(given.text)}" is not ${one.expectation}`,
  );
}

/** Kubernetes puts the address of every Service of the namespace into the environment, by the Service's name. */
function isServiceLink(variable: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(variable) ||
    /^(tcp|udp|sctp):\/\//.test(value)
  );
}

function checkVariables(table: SettingsTable, input: SettingsInput): void {
  const own = Object.keys(table).map(variableOf);
  const known = new Set([...own, ...(input.foreignVariables ?? [])]);
  for (const [variable, value] of Object.entries(input.environment)) {
    if (!variable.startsWith('CULVERT_') || known.has(variable)) continue;
    if (isServiceLink(variable, value ?? '')) continue;
    throw unknownSetting(`environment: unknown setting ${shown(variable)}`, variable, own);
  }
}

function unknownSetting(problem: string, name: string, known: readonly string[]): RuntimeError {
  const suggestion = nearest(name, known);
  return new RuntimeError(
    'ERR_CULVERT_SETTING_UNKNOWN',
    suggestion === undefined ? problem : `${problem}; did you mean ${suggestion}?`,
  );
}

/** Far above what all settings with comments need. */
const fileLengthMax = 1024 * 1024;

/** Reads the YAML map of a configuration file. The parser is loaded only if there is one to read. */
async function readSettings(table: SettingsTable, file: string): Promise<Map<string, Given>> {
  const { readYaml } = await import('./yaml-text.ts');
  const { documents, faults } = readYaml(await readText(file));
  const [document, second] = documents;
  const at = ({ line, column } = { line: 1, column: 1 }): string => `${file}:${line}:${column}`;
  if (faults[0] !== undefined) throw unusableFile(`${at(faults[0])}: ${faults[0].message}`);
  if (second !== undefined)
    throw unusableFile(`${at(second.position([]))}: a second document; one map of settings is expected`);
  const settings = new Map<string, Given>();
  const content = document?.value ?? null;
  if (document === undefined || content === null) return settings;
  if (typeof content !== 'object' || Array.isArray(content))
    throw unusableFile(`${at()}: expected a map of settings`);
  for (const [name, value] of Object.entries(content)) {
    const place = at(document.position([name]));
    const one = Object.hasOwn(table, name) ? table[name] : undefined;
    if (one === undefined)
      throw unknownSetting(`${place}: unknown setting ${shown(name)}`, name, Object.keys(table));
    const text = textOf(value);
    if (text === undefined) {
      const what = Array.isArray(value) ? 'a list of lists or maps' : 'a map';
      throw new RuntimeError(
        'ERR_CULVERT_SETTING_VALUE',
        `${place}: ${name}: ${what} is not ${one.expectation}`,
      );
    }
    settings.set(name, { source: 'file', label: `${place}: ${name}`, text });
  }
  return settings;
}

async function readText(file: string): Promise<string> {
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (cause) {
    throw unusableFile(`cannot read the configuration file: ${messageOf(cause)}`, cause);
  }
  if (source.length > fileLengthMax)
    throw unusableFile(`${file}: the configuration file is longer than ${fileLengthMax} characters`);
  return source;
}

/** A scalar as its text, a list of them joined by commas; undefined for what is neither. */
function textOf(value: unknown): string | undefined {
  if (!Array.isArray(value))
    return typeof value === 'object' && value !== null ? undefined : String(value ?? '');
  return value.some((item) => typeof item === 'object' && item !== null)
    ? undefined
    : value.map(String).join(',');
}

function unusableFile(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError('ERR_CULVERT_SETTING_FILE', message, { cause });
}

/** Given text as a message repeats it: a whole file may stand where a value should. */
function shown(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
