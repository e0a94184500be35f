import type { Command } from 'commander';
import type { AdminProcess } from '../admin-client.ts';
import { askJson, findProcesses } from '../admin-client.ts';
import { CliError, exitCodes } from '../errors.ts';
import type { Outcome } from '../main.ts';
import type { ProcessOptions } from '../output-option.ts';
import { addOutputOption, addProcessOptions } from '../output-option.ts';
import type { ControllerReport, ZtunnelReport } from '../reports.ts';
import { formatStatus, isHealthy } from '../status-text.ts';
import type { Terminal } from '../terminal.ts';
import { printJson } from '../terminal.ts';

/** What one process said of itself, or why it did not. */
export interface ProcessStatus {
  readonly kind: AdminProcess['kind'];
  readonly name: string;
  readonly controller?: ControllerReport;
  readonly ztunnel?: ZtunnelReport;
  readonly error?: string;
}

export function addStatus(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command('status')
    .summary('show what runs and whether it is well')
    .description(
      'Shows the processes of this machine, their pods, certificates, configuration and counters. Exit code 1 if ' +
        'something is not as it should be, 3 if nothing runs.',
    );
  addProcessOptions(addOutputOption(command)).action(async (options: ProcessOptions) => {
    const statuses = await gather({
      ...options,
      ...runDirectoryOf(options, terminal),
    });
    outcome.exit = statuses.every(isHealthy) ? exitCodes.ok : exitCodes.no;
    if (options.output === 'json') printJson(terminal, { healthy: outcome.exit === 0, processes: statuses });
    else terminal.print(`${formatStatus(statuses, terminal, Date.now()).join('\n')}\n`);
  });
}

/** The flag, else the variable. */
export function runDirectoryOf(
  options: ProcessOptions,
  terminal: Terminal,
): { readonly runDirectory?: string } {
  const directory = options.runDirectory ?? terminal.environment['CULVERT_RUN_DIRECTORY'];
  return directory === undefined || directory === '' ? {} : { runDirectory: directory };
}

async function gather(options: ProcessOptions): Promise<readonly ProcessStatus[]> {
  const processes = await findProcesses(options);
  const statuses = await Promise.all(processes.map(statusOf));
  if (statuses.every((status) => status.error !== undefined))
    throw new CliError('ERR_CULVERT_NO_ANSWER', statuses.map((status) => status.error).join('\n'));
  return statuses;
}

async function statusOf({ kind, name, target }: AdminProcess): Promise<ProcessStatus> {
  try {
    const report = await askJson(target, '/status');
    if (report === undefined)
      return { kind, name, error: `${kind} ${name} has no /status: another version?` };
    return kind === 'controller'
      ? { kind, name, controller: report as ControllerReport }
      : { kind, name, ztunnel: report as ZtunnelReport };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { kind, name, error: error.message };
  }
}
