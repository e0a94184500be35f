import type { Terminal } from '../../src/cli/terminal.ts';

export interface RecordedTerminal extends Terminal {
  readonly out: () => string;
  readonly err: () => string;
}

/** A terminal without colour that keeps what was said. */
export function recordedTerminal(environment: Readonly<Record<string, string>> = {}): RecordedTerminal {
  let out = '';
  let err = '';
  return {
    print: (text) => void (out += text),
    complain: (text) => void (err += text),
    paint: (_color, text) => text,
    width: 80,
    environment,
    out: () => out,
    err: () => err,
  };
}
