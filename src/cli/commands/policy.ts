import type { Command } from 'commander';
import { exitCodes } from '../errors.ts';
import type { Outcome } from '../main.ts';
import { addOutputOption } from '../output-option.ts';
import type { Terminal } from '../terminal.ts';
import { printJson } from '../terminal.ts';

export function addPolicy(program: Command, terminal: Terminal, outcome: Outcome): void {
  const policy = program.command('policy').description('Look at policies before they are in force.');
  const check = policy
    .command('check <file...>')
    .description(
      'Say what is wrong with manifests: files, or directories of them. Exit code 1 if something is.',
    );
  addOutputOption(check).action(async (files: string[], options: { readonly output: string }) => {
    const { checkManifests } = await import('../../controller/check.ts');
    const { formatProblem } = await import('../../controller/problem.ts');
    const problems = await checkManifests(files);
    const errors = problems.filter((problem) => problem.severity === 'error').length;
    outcome.exit = errors > 0 ? exitCodes.no : exitCodes.ok;
    if (options.output === 'json') return printJson(terminal, { ok: errors === 0, problems });
    for (const problem of problems)
      terminal.print(
        `${terminal.paint(problem.severity === 'error' ? 'red' : 'yellow', formatProblem(problem))}\n`,
      );
    const warnings = problems.length - errors;
    terminal.print(
      problems.length === 0
        ? `${terminal.paint('green', 'ok')}: ${files.join(', ')}\n`
        : `${errors} error${errors === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}\n`,
    );
  });
}
