// Flows as lines of text for a terminal of 80 columns. Pure: rows in, lines out.
import type { FlowRow } from './flows.ts';

export interface TableOptions {
  readonly color: boolean;
  /** Rows at most; the rest is counted in a last line. */
  readonly rowsMax: number;
}

/** Visible width of the widest possible line. */
export const tableWidth = 80;

const columns = [
  { title: 'FROM', width: 9, left: true },
  { title: 'TO', width: 14, left: true },
  { title: 'IDENTITY', width: 13, left: true },
  { title: 'LINK', width: 5, left: true },
  { title: 'BYTES', width: 6, left: false },
  { title: 'RATE', width: 6, left: false },
  { title: 'OUTCOME', width: 21, left: true },
] as const;

/** A header and one line per flow. */
export function renderTable(rows: readonly FlowRow[], options: TableOptions): readonly string[] {
  const header = line(columns.map((column) => column.title));
  const shown = rows.slice(0, options.rowsMax).map((row) => renderRow(row, options.color));
  const left = rows.length - shown.length;
  const lines = [paint(header, '1', options.color), ...shown];
  if (rows.length === 0) lines.push('(no connection yet)');
  if (left > 0) lines.push(`... and ${left} more`);
  return lines;
}

function renderRow(row: FlowRow, color: boolean): string {
  const text = line([
    row.from,
    row.to,
    row.identity === '' ? '-' : row.identity,
    row.link,
    formatBytes(row.bytes),
    row.bytesPerSecond < 1 ? '-' : `${formatBytes(row.bytesPerSecond)}/s`,
    row.outcome,
  ]);
  if (row.outcome !== 'allowed') return paint(text, '31', color);
  if (row.quietMs > 3000) return paint(text, '2', color);
  return row.link === 'plain' ? paint(text, '33', color) : text;
}

function line(cells: readonly string[]): string {
  return columns
    .map(({ width, left }, position) => {
      const cell = cut(cells[position] ?? '', width);
      return left ? cell.padEnd(width) : cell.padStart(width);
    })
    .join(' ')
    .trimEnd();
}

/** A text that is too long ends in an ellipsis. */
function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** `0`, `999`, `1.0K`, `10K`, `999M`: four characters at most. */
export function formatBytes(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit > 0 && value < 9.95) return `${value.toFixed(1)}${units[unit] ?? ''}`;
  return `${Math.round(value)}${units[unit] ?? ''}`;
}

function paint(text: string, code: string, color: boolean): string {
  return color ? `\u001b[${code}m${text}\u001b[0m` : text;
}
