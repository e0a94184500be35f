// Settings on the command line: one option per row of a table, and the loading of them all.
import type { Command } from 'commander';
import { Option } from 'commander';
import { controllerSettings } from '../controller/settings.ts';
import { flagOf, loadSettings, variableOf } from '../runtime/settings.ts';
import type { LoadedSettings, SettingsTable } from '../runtime/settings.ts';
import { ztunnelSettings } from '../ztunnel/settings.ts';
import type { Terminal } from './terminal.ts';

/** Variables that have a meaning and are no process's setting. */
const otherVariables = [
  'CULVERT_ADDON',
  'CULVERT_BUILD_DIR',
  'CULVERT_CONFIG',
  'CULVERT_HOLDER',
  'CULVERT_PRELOAD',
  'CULVERT_REQUIRE_ROOT',
  'CULVERT_RUN_DIRECTORY',
  'CULVERT_SANITIZED',
  'CULVERT_TEST_RESULT',
];

export const processTables: Readonly<Record<string, SettingsTable>> = {
  controller: controllerSettings,
  ztunnel: ztunnelSettings,
};

/** Adds an option for each setting, and --config. */
export function addSettingsOptions(command: Command, table: SettingsTable): Command {
  command.option('--config <path>', 'YAML file of settings (CULVERT_CONFIG)');
  command.optionsGroup('');
  for (const [name, one] of Object.entries(table)) {
    const shown = one.format(one.fallback);
    const option = new Option(
      `${flagOf(name)} ${one.placeholder}`,
      shown === '' ? one.doc : `${one.doc} [${shown}]`,
    );
    command.addOption(option.helpGroup(`${one.group}:`));
  }
  return command.addHelpText(
    'after',
    '\nEach --flag-name is also the environment variable CULVERT_FLAG_NAME and the key flagName of the file.',
  );
}

/** The settings in force for this command line. */
export function settingsFrom<S extends SettingsTable>(
  table: S,
  options: Readonly<Record<string, unknown>>,
  terminal: Terminal,
): Promise<LoadedSettings<S>> {
  const file = (options['config'] as string | undefined) ?? terminal.environment['CULVERT_CONFIG'];
  const everyVariable = Object.values(processTables).flatMap((other) => Object.keys(other).map(variableOf));
  return loadSettings(table, {
    flags: options as Record<string, string | undefined>,
    environment: terminal.environment,
    ...(file === undefined || file === '' ? {} : { file }),
    foreignVariables: [...everyVariable, ...otherVariables],
  });
}
