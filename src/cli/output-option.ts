import type { Command } from 'commander';
import { Option } from 'commander';

/** `-o json|text`: the same on every command that answers a question. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'for people or for machines')
      .choices(['text', 'json'])
      .default('text'),
  );
}

/** Which processes to ask: the same on every command that asks. */
export function addProcessOptions(command: Command): Command {
  return command
    .option('--ztunnel <address>', 'ask this ztunnel: host:port or the socket file of its admin endpoint')
    .option(
      '--run-directory <path>',
      'where the processes of this machine register (CULVERT_RUN_DIRECTORY; default: /run/culvert and its playgrounds)',
    );
}

export interface ProcessOptions {
  readonly output: 'text' | 'json';
  readonly ztunnel?: string;
  readonly runDirectory?: string;
}
