// Makes the pictures of the documentation: terminal output with colours on standard input, SVG on standard output.
//
//   tmux capture-pane -p -e | node test/support/terminal-svg.ts > docs/images/playground.svg

const cell = { width: 8.4, height: 18 };
const palette = ['#484f58', '#ff7b72', '#7ee787', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#c9d1d9'];
const foreground = '#c9d1d9';
const background = '#0d1117';

interface Style {
  readonly colour: string;
  readonly bold: boolean;
  readonly dim: boolean;
}

const plain: Style = { colour: foreground, bold: false, dim: false };

/** An SVG picture of `text`, in which SGR sequences set colour, bold and dim; other escapes are left out. */
export function terminalSvg(text: string): string {
  const lines = text.replace(/\s+$/, '').split('\n');
  const columns = Math.max(80, ...lines.map((line) => line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '').length));
  const width = Math.ceil(columns * cell.width) + 32;
  const height = lines.length * cell.height + 32;
  let style = plain;
  const rows = lines.map((line, index) => {
    const spans: string[] = [];
    let column = 0;
    for (const piece of line.split(/(\x1b\[[0-9;]*[A-Za-z])/)) {
      const sequence = /^\x1b\[([0-9;]*)([A-Za-z])$/.exec(piece);
      if (sequence !== null) {
        if (sequence[2] === 'm') style = styled(style, sequence[1] ?? '');
        continue;
      }
      if (piece.trim() !== '') spans.push(span(piece, column, index, style));
      column += piece.length;
    }
    return spans.join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<rect width="100%" height="100%" rx="8" fill="${background}"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">`,
    ...rows.filter((row) => row !== ''),
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function span(text: string, column: number, row: number, style: Style): string {
  const x = (16 + column * cell.width).toFixed(1);
  const y = 16 + row * cell.height + 14;
  const weight = style.bold ? ' font-weight="bold"' : '';
  const opacity = style.dim ? ' opacity="0.6"' : '';
  const length = (text.length * cell.width).toFixed(1);
  return `<text x="${x}" y="${y}" textLength="${length}" fill="${style.colour}"${weight}${opacity}>${escapeXml(text)}</text>`;
}

function styled(style: Style, parameters: string): Style {
  return parameters
    .split(';')
    .map(Number)
    .reduce((current, code) => {
      if (code === 0) return plain;
      if (code === 1) return { ...current, bold: true };
      if (code === 2) return { ...current, dim: true };
      if (code === 22) return { ...current, bold: false, dim: false };
      if (code === 39) return { ...current, colour: foreground };
      if (code >= 30 && code <= 37) return { ...current, colour: palette[code - 30] ?? foreground };
      if (code >= 90 && code <= 97) return { ...current, colour: palette[code - 90] ?? foreground };
      return current;
    }, style);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

if (import.meta.main) {
  let input = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) input += chunk;
  process.stdout.write(terminalSvg(input));
}
