import type { Command } from 'commander';
import { controllerSettings } from '../../controller/settings.ts';
import { describeSettings } from '../../runtime/settings.ts';
import type { Outcome } from '../main.ts';
import { addSettingsOptions, settingsFrom } from '../settings-options.ts';
import type { Terminal } from '../terminal.ts';

export function addController(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command('controller')
    .summary('run the control plane')
    .description('Watches a directory of manifests, serves the mesh as delta xDS and signs certificates.');
  addSettingsOptions(command, controllerSettings).action(async (options: Record<string, unknown>) => {
    const loaded = await settingsFrom(controllerSettings, options, terminal);
    const { runDaemon } = await import('../daemon.ts');
    const { startController } = await import('../start-controller.ts');
    const settings = loaded.values;
    outcome.exit = await runDaemon({
      kind: 'controller',
      name: settings.name,
      settings,
      described: describeSettings(controllerSettings, loaded),
      start: (services) => startController(settings, services),
    });
  });
}
