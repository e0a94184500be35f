import type { Command } from 'commander';
import type { AdminProcess } from '../admin-client.ts';
import { askJson, findProcesses } from '../admin-client.ts';
import { CliError, exitCodes } from '../errors.ts';
import type { Outcome } from '../main.ts';
import type { ProcessOptions } from '../output-option.ts';
import { addOutputOption, addProcessOptions } from '../output-option.ts';
import type { PodStatus, WhyReport, ZtunnelReport } from '../reports.ts';
import type { Terminal } from '../terminal.ts';
import { printJson } from '../terminal.ts';
import { runDirectoryOf } from './status.ts';

export function addWhy(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command('why <source> <destination>')
    .summary('explain what happens to a connection')
    .description(
      'Runs the decisions of the mesh for a connection from <source> (namespace/pod, or an address) to ' +
        '<destination[:port]> (namespace/service, namespace/pod, a host name, or an address) on live state, and prints ' +
        'each step with the object that caused it. Exit code 1 if it would be denied.',
    );
  addProcessOptions(addOutputOption(command)).action(
    async (source: string, destination: string, options: ProcessOptions) => {
      const report = await explain(source, destination, { ...options, ...runDirectoryOf(options, terminal) });
      outcome.exit = report.allowed ? exitCodes.ok : exitCodes.no;
      if (options.output === 'json') printJson(terminal, report);
      else terminal.print(`${formatWhy(report, terminal).join('\n')}\n`);
    },
  );
}

/** Asks the ztunnel that has the source's pod, since it alone sees its capture and certificate; else any that knows the
 *  source. Whoever does not says 404. */
async function explain(source: string, destination: string, options: ProcessOptions): Promise<WhyReport> {
  const ztunnels = (await findProcesses(options)).filter(({ kind }) => kind === 'ztunnel');
  const query = new URLSearchParams({ source, destination });
  const silent: CliError[] = [];
  const reasons: string[] = [];
  for (const { target } of await ownerFirst(ztunnels, source)) {
    try {
      const report = await askJson<WhyReport>(target, `/why?${query}`, (reason) => reasons.push(reason));
      if (report !== undefined) return report;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      silent.push(error);
    }
  }
  const first = silent[0];
  if (first !== undefined) throw first;
  if (ztunnels.length === 0) throw new CliError('ERR_CULVERT_NO_PROCESS', 'no ztunnel runs here');
  throw new CliError('ERR_CULVERT_UNKNOWN_NAME', `${reasons[0]}; \`culvert status\` lists the pods`);
}

async function ownerFirst(
  ztunnels: readonly AdminProcess[],
  source: string,
): Promise<readonly AdminProcess[]> {
  if (ztunnels.length < 2) return ztunnels;
  const owns = await Promise.all(
    ztunnels.map(async ({ target }) => {
      const report = await askJson<ZtunnelReport>(target, '/status').catch(() => undefined);
      return report?.pods.some((pod) => isPod(pod, source)) === true;
    }),
  );
  return ztunnels.toSorted((a, b) => Number(owns[ztunnels.indexOf(b)]) - Number(owns[ztunnels.indexOf(a)]));
}

function isPod(pod: PodStatus, source: string): boolean {
  return [pod.uid, pod.name, `${pod.namespace}/${pod.name}`, ...pod.addresses].includes(source);
}

/** One line per step, the verdict last. */
export function formatWhy(report: WhyReport, terminal: Terminal): readonly string[] {
  const width = Math.max(0, ...report.steps.map(({ step }) => step.length));
  const lines = report.steps.flatMap(({ step, outcome, object, detail }) => [
    `${terminal.paint('dim', step.padEnd(width))}  ${outcome}`,
    ...(object === undefined ? [] : [`${' '.repeat(width)}  ${terminal.paint('dim', 'by')} ${object}`]),
    ...(detail === undefined ? [] : [`${' '.repeat(width)}  ${detail}`]),
  ]);
  const verdict = report.allowed ? terminal.paint('green', 'allowed') : terminal.paint('red', 'denied');
  return [...lines, `${'='.repeat(width)}  ${verdict}`];
}
