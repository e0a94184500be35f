// Tables that fit the terminal: columns are as wide as what is in them, and the widest give way first.

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** Applied after the text was cut and padded, so that it may add what has no width. */
  readonly paint?: (text: string, row: Row) => string;
}

const gap = '  ';
const columnMin = 6;

/** The lines of a table, headings first; one line per row, none longer than `width` characters. */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): readonly string[] {
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const widths = fit(
    columns.map((column, i) => Math.max(column.title.length, ...cells.map((line) => line[i]?.length ?? 0))),
    width - gap.length * (columns.length - 1),
  );
  const line = (texts: readonly string[], row?: Row): string =>
    columns
      .map((column, i) => {
        const size = widths[i] ?? 0;
        const text = cut(texts[i] ?? '', size);
        const padded = column.align === 'right' ? text.padStart(size) : text.padEnd(size);
        return row !== undefined && column.paint !== undefined ? column.paint(padded, row) : padded;
      })
      .join(gap)
      .trimEnd();
  const titles = columns.map((column) => column.title);
  return [line(titles), ...rows.map((row, i) => line(cells[i] ?? [], row))];
}

/** Shortens the widest columns until all fit. */
function fit(wanted: readonly number[], room: number): readonly number[] {
  const widths = [...wanted];
  for (let excess = widths.reduce((sum, one) => sum + one, 0) - room; excess > 0; excess -= 1) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] ?? 0) <= columnMin) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** What comes from elsewhere must not move the cursor of an operator's terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
