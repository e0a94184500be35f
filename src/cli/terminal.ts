// What a command says and how: text for people, JSON for machines; colour only where someone can see it.
import { styleText } from 'node:util';

export type OutputFormat = 'text' | 'json';
export type Color = 'green' | 'red' | 'yellow' | 'dim' | 'bold';

export interface Terminal {
  /** Standard output: the answer. */
  print(text: string): void;
  /** Standard error: everything that is not the answer. */
  complain(text: string): void;
  paint(color: Color, text: string): string;
  /** Columns that a table may take. */
  readonly width: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The terminal of this process. NO_COLOR (https://no-color.org) turns colour off, FORCE_COLOR on. */
export function processTerminal(): Terminal {
  const color = wantsColor(process.env, process.stdout.isTTY === true);
  return {
    print: (text) => void process.stdout.write(text),
    complain: (text) => void process.stderr.write(text),
    paint: (name, text) => (color ? styleText(name, text, { validateStream: false }) : text),
    width: Math.max(80, process.stdout.columns ?? 80),
    environment: process.env,
  };
}

export function wantsColor(
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean {
  if ((environment['NO_COLOR'] ?? '') !== '') return false;
  if ((environment['FORCE_COLOR'] ?? '') !== '') return environment['FORCE_COLOR'] !== '0';
  return isTerminal && environment['TERM'] !== 'dumb';
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.print(`${JSON.stringify(value, null, 2)}\n`);
}
