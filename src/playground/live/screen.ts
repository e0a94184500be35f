// Draws lines over what it drew before; on anything but a terminal it prints a block now and then instead.

export interface Output {
  readonly isTTY?: boolean;
  readonly rows?: number;
  write(text: string): unknown;
}

/** What to write to replace `before` lines by these: up, then clear and print each, then clear what is below. */
export function redraw(before: number, lines: readonly string[]): string {
  const up = before > 0 ? `\u001b[${before}A` : '';
  return `${up}\r${lines.map((text) => `\u001b[2K${text}\n`).join('')}\u001b[0J`;
}

export class Screen {
  readonly #output: Output;
  readonly #plainIntervalMs: number;
  #drawn = 0;
  #printedMs: number | undefined;

  constructor(output: Output, options: { readonly plainIntervalMs: number } = { plainIntervalMs: 5000 }) {
    this.#output = output;
    this.#plainIntervalMs = options.plainIntervalMs;
    if (this.live) output.write('\u001b[?25l'); // hide the cursor
  }

  get live(): boolean {
    return this.#output.isTTY === true;
  }

  /** Lines that fit below what is fixed, so that drawing over them never scrolls. */
  get linesMax(): number {
    return Math.max(5, (this.#output.rows ?? 40) - 1);
  }

  draw(nowMs: number, lines: readonly string[]): void {
    if (this.live) {
      this.#output.write(redraw(this.#drawn, lines));
      this.#drawn = lines.length;
      return;
    }
    if (this.#printedMs !== undefined && nowMs - this.#printedMs < this.#plainIntervalMs) return;
    this.#printedMs = nowMs;
    this.#output.write(`${lines.join('\n')}\n`);
  }

  /** Leaves what was drawn and gives the cursor back. Idempotent. */
  close(): void {
    if (this.live) this.#output.write('\u001b[?25h');
    this.#drawn = 0;
  }
}
