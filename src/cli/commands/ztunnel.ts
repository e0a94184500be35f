import type { Command } from 'commander';
import { describeSettings } from '../../runtime/settings.ts';
import { ztunnelSettings } from '../../ztunnel/settings.ts';
import type { Outcome } from '../main.ts';
import { addSettingsOptions, settingsFrom } from '../settings-options.ts';
import type { Terminal } from '../terminal.ts';

export function addZtunnel(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command('ztunnel')
    .summary('run the proxy of a node')
    .description(
      'Captures the pods of this node and carries their TCP over mutual TLS. Needs root on the node.',
    );
  addSettingsOptions(command, ztunnelSettings).action(async (options: Record<string, unknown>) => {
    const loaded = await settingsFrom(ztunnelSettings, options, terminal);
    const { runDaemon } = await import('../daemon.ts');
    const { startZtunnel } = await import('../start-ztunnel.ts');
    const { takeFromHolder } = await import('../holder.ts');
    const settings = loaded.values;
    const handover = await takeFromHolder(terminal.environment);
    outcome.exit = await runDaemon({
      kind: 'ztunnel',
      name: settings.node,
      settings,
      described: describeSettings(ztunnelSettings, loaded),
      start: (services) => startZtunnel(settings, services, handover),
      ...(handover !== undefined && { succession: handover }),
    });
  });
}
