import type { Command } from 'commander';
import { Option } from 'commander';
import { exitCodes } from '../errors.ts';
import type { Outcome } from '../main.ts';
import type { Terminal } from '../terminal.ts';
import { wantsColor } from '../terminal.ts';

interface PlaygroundOptions {
  readonly check?: boolean;
  readonly manifests?: string;
  readonly sameNode?: 'tunnel' | 'direct';
}

export function addPlayground(program: Command, terminal: Terminal, outcome: Outcome): void {
  const playground = program
    .command('playground')
    .summary('run a whole mesh on this machine')
    .description(
      'Runs two nodes, a controller and a sample shop as network namespaces on this machine, with real traffic, until ' +
        'Ctrl-C. Needs root; leaves nothing behind.',
    )
    .enablePositionalOptions()
    .option('--check', 'run the scenario unattended, print a checklist and exit')
    .option('--manifests <directory>', 'a directory of your own instead of the sample shop')
    .addOption(
      new Option('--same-node <how>', 'how pods of one node are connected: the setting of ztunnel').choices([
        'tunnel',
        'direct',
      ]),
    )
    .action(async (options: PlaygroundOptions) => {
      const { runPlayground } = await import('../../playground/index.ts');
      outcome.exit = await runPlayground({
        check: options.check ?? false,
        ...(options.manifests !== undefined && { manifests: options.manifests }),
        sameNode: options.sameNode,
        color: wantsColor(terminal.environment, process.stdout.isTTY === true),
        output: process.stdout,
        errors: process.stderr,
      });
    });
  playground
    .command('exec <pod> [command...]')
    .description(
      'run a command in a pod of the running playground: `culvert playground exec frontend -- curl cart`',
    )
    .option('--run <id>', 'which playground, if several run')
    .passThroughOptions()
    .action(async (pod: string, command: string[], options: { readonly run?: string }) => {
      const { execInPod } = await import('../../playground/index.ts');
      if (command.length === 0) {
        terminal.complain(
          'culvert: which command? For instance: culvert playground exec frontend -- curl cart\n',
        );
        outcome.exit = exitCodes.usage;
        return;
      }
      outcome.exit = await execInPod({
        pod,
        command,
        ...(options.run === undefined ? {} : { run: options.run }),
      });
    });
}
