// Completion scripts, made from the commands as they are: a new command or option needs nothing here.
import type { Command } from 'commander';

interface Node {
  /** `culvert policy check`. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly help: string }[];
}

/** To be sourced by bash (or put into its completion directory). */
export function bashCompletion(program: Command): string {
  const cases = nodes(program).map(
    ({ path, words }) => `    ${quote(path)}) words=${quote(words.map(({ word }) => word).join(' '))} ;;`,
  );
  return `# bash completion for ${program.name()}
_${program.name()}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} at=${program.name()} words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
${known(program, 'at')}
    esac
  done
  case "$at" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ \${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _${program.name()} ${program.name()}
`;
}

/** To be saved as `_culvert` in a directory of zsh's fpath. */
export function zshCompletion(program: Command): string {
  const cases = nodes(program).map(({ path, words }) => {
    const entries = words.map(({ word, help }) => quote(`${word.replaceAll(':', '\\:')}:${help}`));
    return `    ${quote(path)}) choices=(${entries.join(' ')}) ;;`;
  });
  return `#compdef ${program.name()}
_${program.name()}() {
  local at=${program.name()} i
  local -a choices
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
${known(program, 'at')}
    esac
  done
  case "$at" in
${cases.join('\n')}
  esac
  _describe '${program.name()}' choices || _files
}
compdef _${program.name()} ${program.name()}
`;
}

/** The lines of a shell `case` that walk down the tree of commands. */
function known(program: Command, variable: string): string {
  const paths = nodes(program)
    .map(({ path }) => path)
    .filter((path) => path.includes(' '));
  return paths.map((path) => `      ${quote(path)}) ${variable}=${quote(path)} ;;`).join('\n');
}

function nodes(command: Command, path = command.name()): readonly Node[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const words = [
    ...commands.map((sub) => ({ word: sub.name(), help: help.subcommandDescription(sub) })),
    ...help.visibleOptions(command).map((option) => ({
      word: option.long ?? option.short ?? '',
      help: help.optionDescription(option),
    })),
    ...command.registeredArguments.flatMap((argument) =>
      (argument.argChoices ?? []).map((word) => ({ word, help: argument.description })),
    ),
  ];
  return [{ path, words }, ...commands.flatMap((sub) => nodes(sub, `${path} ${sub.name()}`))];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
