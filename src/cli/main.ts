// The command line. Nouns read, verbs change; long-running processes are commands too. Each command is one file, and
// what it needs is loaded only when it runs.
import { Command, CommanderError } from 'commander';
import { messageOf } from '../runtime/errors.ts';
import { CulvertError, RuntimeError } from '../runtime/errors.ts';
import { addCloseOlder } from './commands/close-older.ts';
import { addCompletion } from './commands/completion.ts';
import { addController } from './commands/controller.ts';
import { addHolder } from './commands/holder.ts';
import { addPlayground } from './commands/playground.ts';
import { addPolicy } from './commands/policy.ts';
import { addStatus } from './commands/status.ts';
import { addWhy } from './commands/why.ts';
import { addZtunnel } from './commands/ztunnel.ts';
import { CliError, exitCodes } from './errors.ts';
import type { Terminal } from './terminal.ts';
import { processTerminal } from './terminal.ts';
import { version } from './version.ts';

/** The outcome of a command: `exit` is read when its action has ended. */
export interface Outcome {
  exit: number;
}

/** Commander looks for names like `--drian-timeout=3s`, value and all, and finds none that is near. */
class CulvertCommand extends Command {
  override createCommand(name?: string): Command {
    return new CulvertCommand(name);
  }

  unknownOption(flag: string): void {
    const inherited = Command.prototype as unknown as { unknownOption(flag: string): void };
    inherited.unknownOption.call(this, flag.replace(/=.*$/s, ''));
  }
}

/** The whole tree of commands. */
export function buildProgram(terminal: Terminal, outcome: Outcome): Command {
  const program = new CulvertCommand('culvert')
    .description(
      'An ambient service mesh for Linux nodes: every TCP connection over mutual TLS, without a sidecar.',
    )
    .version(version(), '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: terminal.print, writeErr: terminal.complain })
    .showHelpAfterError('(--help lists what there is)')
    .addHelpText(
      'after',
      '\nExit codes: 0 yes or done, 1 no (denied, not ready, invalid) or failed, 2 wrong usage, 3 nobody to ask.',
    );
  program.commandsGroup('Look:');
  addStatus(program, terminal, outcome);
  addWhy(program, terminal, outcome);
  addPolicy(program, terminal, outcome);
  program.commandsGroup('Change:');
  addCloseOlder(program, terminal);
  program.commandsGroup('Try:');
  addPlayground(program, terminal, outcome);
  program.commandsGroup('Run:');
  addController(program, terminal, outcome);
  addZtunnel(program, terminal, outcome);
  addHolder(program, terminal);
  program.commandsGroup('Other:');
  addCompletion(program, terminal);
  program.helpCommand('help [command]', 'explain a command');
  return program;
}

/** Runs a command line (without the program's own name) and resolves to the exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const outcome: Outcome = { exit: exitCodes.ok };
  try {
    await buildProgram(terminal, outcome).parseAsync(args, { from: 'user' });
    return outcome.exit;
  } catch (error) {
    return exitCodeOf(error, terminal);
  }
}

function exitCodeOf(error: unknown, terminal: Terminal): number {
  // Commander has said what is wrong; --help and --version end the same way and are no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (!(error instanceof CulvertError)) throw error;
  terminal.complain(`culvert: ${messageOf(error)}\n`);
  if (error instanceof CliError) return error.exitCode;
  return error instanceof RuntimeError && error.code.startsWith('ERR_CULVERT_SETTING_')
    ? exitCodes.usage
    : exitCodes.no;
}

/** Runs this process's command line to its end. */
export async function main(): Promise<never> {
  // A reader that has seen enough (`culvert status | head`) is no failure; what is written after that goes nowhere.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const code = await run(process.argv.slice(2), processTerminal());
  // A pipe's reader gets everything before the end; a handle that is forgotten somewhere must not keep us.
  await new Promise<void>((done) => process.stdout.write('', () => done()));
  process.exit(code);
}

if (import.meta.main) await main();
