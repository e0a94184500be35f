import type { Command } from 'commander';
import { askJson, findProcesses } from '../admin-client.ts';
import { CliError } from '../errors.ts';
import type { ProcessOptions } from '../output-option.ts';
import { addOutputOption, addProcessOptions } from '../output-option.ts';
import type { Terminal } from '../terminal.ts';
import { printJson } from '../terminal.ts';
import { runDirectoryOf } from './status.ts';

/** What one ztunnel did. */
interface Closed {
  readonly ztunnel: string;
  readonly closed: number;
}

export function addCloseOlder(program: Command, terminal: Terminal): void {
  const command = program
    .command('close-older <pod>')
    .summary('close the connections of a pod that are older than its capture')
    .description(
      'A pod that joins the mesh while it runs keeps the connections that it has, outside the mesh. This resets those ' +
        'of <pod> (namespace/pod, or a uid) at both ends; what it opens next is captured. `culvert status` counts them.',
    );
  addProcessOptions(addOutputOption(command)).action(async (pod: string, options: ProcessOptions) => {
    const { ztunnel, closed } = await closeOlder(pod, { ...options, ...runDirectoryOf(options, terminal) });
    if (options.output === 'json') printJson(terminal, { pod, ztunnel, closed });
    else terminal.print(`closed ${closed} connection${closed === 1 ? '' : 's'} older than capture\n`);
  });
}

/** One ztunnel has the pod; the others answer 404. */
async function closeOlder(pod: string, options: ProcessOptions): Promise<Closed> {
  const ztunnels = (await findProcesses(options)).filter(({ kind }) => kind === 'ztunnel');
  const reasons: string[] = [];
  const silent: CliError[] = [];
  for (const { name, target } of ztunnels) {
    try {
      const answer = await askJson<{ readonly closed: number }>(
        target,
        `/connections/close-older?${new URLSearchParams({ pod })}`,
        (reason) => reasons.push(reason),
        'POST',
      );
      if (answer !== undefined) return { ztunnel: name, closed: answer.closed };
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      silent.push(error);
    }
  }
  const first = silent[0];
  if (first !== undefined) throw first;
  if (ztunnels.length === 0) throw new CliError('ERR_CULVERT_NO_PROCESS', 'no ztunnel runs here');
  // A node that has the pod and does not capture it knows more than one that has no such pod.
  const reason = reasons.find((text) => text.includes('not captured')) ?? reasons[0];
  throw new CliError('ERR_CULVERT_UNKNOWN_NAME', `${reason}; \`culvert status\` lists the pods`);
}
