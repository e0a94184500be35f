// How `culvert status` reads. Where something is not well, it says so first and says what to do.
import { formatDuration } from '../runtime/duration.ts';
import type { ProcessStatus } from './commands/status.ts';
import type { CertificateReport, ControllerReport, PodStatus, ZtunnelReport } from './reports.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Nothing that an operator would have to do something about. */
export function isHealthy(status: ProcessStatus): boolean {
  const { controller, ztunnel } = status;
  if (controller !== undefined) return controller.ready && controller.problems.length === 0;
  if (ztunnel === undefined) return false;
  return (
    ztunnel.ready &&
    ztunnel.xds.connected &&
    ztunnel.pods.every(isWell) &&
    ztunnel.certificates.every((certificate) => certificate.state === 'valid')
  );
}

/** Captured, or left alone because it opted out. */
function isWell(pod: PodStatus): boolean {
  return (pod.captured || pod.phase === 'left_alone') && pod.faults.length === 0;
}

/** The lines of the whole answer. */
export function formatStatus(
  statuses: readonly ProcessStatus[],
  terminal: Terminal,
  nowMs: number,
): readonly string[] {
  const lines = formatTable(
    [
      { title: 'PROCESS', value: (status) => `${status.kind} ${status.name}` },
      {
        title: 'STATE',
        value: stateOf,
        paint: (text, status) => terminal.paint(isHealthy(status) ? 'green' : 'red', text),
      },
      { title: 'UP', value: (status) => age(status, nowMs), align: 'right' },
      { title: 'WHAT', value: summaryOf },
    ],
    statuses,
    terminal.width,
  );
  const more = statuses.flatMap((status) => {
    const section =
      status.ztunnel !== undefined
        ? ztunnelLines(status.ztunnel, terminal, nowMs)
        : status.controller !== undefined
          ? controllerLines(status.controller, terminal, nowMs)
          : [terminal.paint('red', status.error ?? 'no answer')];
    return ['', terminal.paint('bold', `${status.kind} ${status.name}`), ...section];
  });
  return [...lines, ...more];
}

function stateOf(status: ProcessStatus): string {
  const report = status.controller ?? status.ztunnel;
  if (report === undefined) return 'silent';
  if (!report.ready) return 'not ready';
  return isHealthy(status) ? 'ready' : 'attention';
}

function age(status: ProcessStatus, nowMs: number): string {
  const report = status.controller ?? status.ztunnel;
  return report === undefined ? '' : coarse(nowMs - report.startedMs);
}

function summaryOf(status: ProcessStatus): string {
  if (status.controller !== undefined) {
    const { objects, clients } = status.controller;
    const total = Object.values(objects).reduce((sum, one) => sum + one, 0);
    return `${total} objects, ${clients.length} client${clients.length === 1 ? '' : 's'}`;
  }
  if (status.ztunnel === undefined) return '';
  const { pods, xds } = status.ztunnel;
  const captured = pods.filter((pod) => pod.captured).length;
  return `${captured} of ${pods.length} pods captured, xds ${xds.connected ? 'connected' : 'not connected'}`;
}

function controllerLines(report: ControllerReport, terminal: Terminal, nowMs: number): readonly string[] {
  return [
    ...waiting(report.pending, terminal),
    ...report.problems.map((problem) => terminal.paint('red', `  ${problem}`)),
    ...wrap(`  objects: ${counts(report.objects)}`, terminal.width),
    ...report.roots.map((root) => `  root ${root.subject}: expires in ${coarse(root.notAfterMs - nowMs)}`),
    ...report.clients.map(
      (client) => `  client ${client.name}: connected for ${coarse(nowMs - client.connectedMs)}`,
    ),
  ];
}

function ztunnelLines(report: ZtunnelReport, terminal: Terminal, nowMs: number): readonly string[] {
  const { xds } = report;
  const link = xds.connected
    ? `xds ${xds.address}: connected; ${counts(xds.resources)}`
    : terminal.paint(
        'red',
        `xds ${xds.address}: not connected${xds.lastError === undefined ? '' : `: ${xds.lastError}`}`,
      );
  return [
    ...waiting(report.pending, terminal),
    `  ${link}${xds.nacks > 0 ? terminal.paint('yellow', `; ${xds.nacks} refused`) : ''}`,
    ...holderLines(report),
    ...indent(podTable(report.pods, terminal)),
    ...report.pods
      .filter((pod) => !pod.captured && pod.detail !== '')
      .map((pod) => terminal.paint('yellow', `  ${pod.namespace}/${pod.name}: ${pod.detail}`)),
    ...report.pods.flatMap((pod) =>
      pod.faults.map((fault) => terminal.paint('red', `  ${pod.namespace}/${pod.name}: ${fault}`)),
    ),
    ...report.pods
      .filter((pod) => pod.olderConnections > 0)
      .flatMap((pod) => wrap(`  ${olderText(pod)}`, terminal.width))
      .map((line) => terminal.paint('yellow', line)),
    ...indent(certificateTable(report.certificates, terminal, nowMs)),
    ...wrap(`  capture: ${counts(sumOf(report.pods.map((pod) => pod.capture)))}`, terminal.width),
    ...wrap(`  counters: ${counts(report.counters)}`, terminal.width),
    ...Object.entries(report.limits)
      .filter(([, { used, max }]) => used * 2 > max)
      .map(([name, { used, max }]) => terminal.paint('yellow', `  ${name}: ${used} of ${max}`)),
  ];
}

function holderLines({ holder }: ZtunnelReport): readonly string[] {
  if (holder === undefined) return [];
  const restarts = holder.restarts === 1 ? '1 restart' : `${holder.restarts} restarts`;
  return [`  holder ${holder.pid}: keeps the listeners of ${holder.pods} pods, ${restarts}`];
}

function podTable(pods: readonly PodStatus[], terminal: Terminal): readonly string[] {
  if (pods.length === 0) return ['no pods'];
  return formatTable<PodStatus>(
    [
      { title: 'POD', value: (pod) => `${pod.namespace}/${pod.name}` },
      { title: 'ADDRESS', value: (pod) => pod.addresses.join(' ') },
      {
        title: 'CAPTURED',
        value: (pod) => (pod.captured ? 'yes' : pod.phase.replace('_', ' ')),
        paint: (text, pod) => terminal.paint(isWell(pod) ? 'green' : 'red', text),
      },
      { title: 'OLDER', value: (pod) => String(pod.olderConnections), align: 'right' },
    ],
    pods,
    terminal.width - 2,
  );
}

function olderText({ namespace, name, olderConnections: count }: PodStatus): string {
  const connections = count === 1 ? '1 connection is' : `${count} connections are`;
  return `${namespace}/${name}: ${connections} older than capture and outside the mesh; \`culvert close-older ${namespace}/${name}\` closes them`;
}

function sumOf(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const [name, value] of all.flatMap(Object.entries<number>)) sum[name] = (sum[name] ?? 0) + value;
  return sum;
}

function certificateTable(
  certificates: readonly CertificateReport[],
  terminal: Terminal,
  nowMs: number,
): readonly string[] {
  if (certificates.length === 0) return [];
  return formatTable<CertificateReport>(
    [
      { title: 'IDENTITY', value: (one) => one.identity },
      {
        title: 'CERTIFICATE',
        value: (one) => one.error ?? one.state,
        paint: (text, one) => terminal.paint(one.state === 'valid' ? 'green' : 'red', text),
      },
      {
        title: 'EXPIRES IN',
        value: (one) => (one.notAfterMs === undefined ? '' : coarse(one.notAfterMs - nowMs)),
        align: 'right',
      },
    ],
    certificates,
    terminal.width - 2,
  );
}

function waiting(pending: readonly string[], terminal: Terminal): readonly string[] {
  return pending.map((what) => terminal.paint('yellow', `  waiting for ${what}`));
}

/** `Pod 8, Service 3`: what is zero is not worth a word. */
function counts(values: Readonly<Record<string, number>>): string {
  const some = Object.entries(values).filter(([, value]) => value !== 0);
  return some.length === 0 ? 'none' : some.map(([name, value]) => `${name} ${value}`).join(', ');
}

/** Lines of at most `width` characters, broken between words; continued lines are indented further. */
export function wrap(text: string, width: number): readonly string[] {
  const indentation = /^ */.exec(text)?.[0] ?? '';
  const lines: string[] = [];
  let line = '';
  for (const word of text.trim().split(' ')) {
    const next = line === '' ? `${indentation}${lines.length === 0 ? '' : '  '}${word}` : `${line} ${word}`;
    if (next.length <= width || line === '') line = next;
    else {
      lines.push(line);
      line = `${indentation}  ${word}`;
    }
  }
  return [...lines, line];
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

/** The two largest units: nobody reads `23h59m12s3ms`. */
function coarse(ms: number): string {
  if (ms < 0) return 'expired';
  const text = formatDuration(Math.floor(ms / 1000) * 1000);
  return /^(?:\d+[dhms]+){1,2}/.exec(text)?.[0] ?? text;
}
