// `npm run audit`: what npm knows of holes in our packages, as a short table. A report, never a gate: it ends with 0
// whatever it finds, and says in one line why there is nothing to report.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npmCommand, root } from './dependencies.js';
import { lockedPackages } from './licences.js';
import { captured, networkFault } from './run-program.js';

const severities = ['critical', 'high', 'moderate', 'low', 'info'];
const rowsMax = 30;
const patienceMs = 60_000;

/** The lines of a report. `output` is all that `npm audit --json` said, `development` the names of development packages. */
export function auditReport(output, development) {
  const report = jsonIn(output);
  if (report?.vulnerabilities === undefined) {
    const refusal = report?.message ?? /npm error ([^\n]+)/.exec(output)?.[1];
    const said = output.trim() === '' ? 'it did not answer in time' : output.trim();
    const reason = networkFault(output) ?? refusal ?? said;
    return [`npm audit: no report: ${String(reason).split('\n', 1)[0].slice(0, 200)}`];
  }
  const found = Object.values(report.vulnerabilities);
  if (found.length === 0) return ['npm audit: nothing is known against any package'];
  const rank = ({ severity }) => severities.indexOf(severity);
  const rows = found
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
    .map(({ name, severity, range, via, fixAvailable }) => [
      severity,
      name,
      range ?? '',
      development.has(name) ? 'development' : 'delivered',
      fixAvailable ? 'can be mended' : '',
      via.map((cause) => (typeof cause === 'string' ? `by ${cause}` : cause.title)).join('; '),
    ]);
  const shown = rows.slice(0, rowsMax);
  const widths = shown[0].slice(0, -1).map((_, i) => Math.max(...shown.map((row) => row[i].length)));
  const line = (row) => row.map((text, i) => (i < widths.length ? text.padEnd(widths[i]) : text)).join('  ');
  const more = rows.length - shown.length;
  return [
    `npm audit: ${found.length} packages with known holes`,
    ...shown.map((row) => line(row).slice(0, 160).trimEnd()),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
}

/** npm writes warnings before and after the JSON. */
function jsonIn(output) {
  try {
    return JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1));
  } catch {
    return undefined;
  }
}

async function main() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const packages = lockedPackages(lock);
  const delivered = new Set(packages.filter((each) => !each.development).map(({ name }) => name));
  const development = new Set(packages.map(({ name }) => name).filter((name) => !delivered.has(name)));
  const patience = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-timeout=20000'];
  const [file, args] = npmCommand(['audit', '--json', ...patience]);
  const { output } = await captured(file, args, { cwd: root, timeout: patienceMs });
  process.stdout.write(
    auditReport(output, development)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main().catch((error) => process.stdout.write(`npm audit: no report: ${error.message}\n`));
