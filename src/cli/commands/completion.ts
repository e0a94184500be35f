import type { Command } from 'commander';
import { Argument } from 'commander';
import { bashCompletion, zshCompletion } from '../completion.ts';
import type { Terminal } from '../terminal.ts';

export function addCompletion(program: Command, terminal: Terminal): void {
  program
    .command('completion')
    .description('print a script that completes culvert in your shell')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      '\nbash:  source <(culvert completion bash)\nzsh:   culvert completion zsh > "${fpath[1]}/_culvert"',
    )
    .action((shell: string) =>
      terminal.print(shell === 'bash' ? bashCompletion(program) : zshCompletion(program)),
    );
}
