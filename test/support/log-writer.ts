// A process that logs: each line on standard input, `<lines> <bytes each>`, makes it log that much at once and answer on
// standard output with what it saw: the longest turn of its event loop, lines dropped, bytes that wait.
import { createInterface } from 'node:readline';
import { standardError } from '../../src/runtime/log-output.ts';
import { createLogger } from '../../src/runtime/logger.ts';

export interface LogReport {
  readonly longestTurnMs: number;
  readonly dropped: number;
  readonly waitingBytes: number;
}

const logger = createLogger({ level: 'info', format: 'json' });
const output = standardError();
output.onRecovered = (lines) => logger.warn('log lines were dropped', { lines });

for await (const command of createInterface({ input: process.stdin })) {
  const [lines = 0, bytes = 0] = command.split(' ').map(Number);
  let longestTurnMs = 0;
  for (let line = 0; line < lines; line += 1) {
    const from = performance.now();
    logger.info('x'.repeat(bytes), { line });
    longestTurnMs = Math.max(longestTurnMs, performance.now() - from);
  }
  const from = performance.now();
  await new Promise((resolve) => setImmediate(resolve));
  longestTurnMs = Math.max(longestTurnMs, performance.now() - from);
  const report: LogReport = { longestTurnMs, dropped: output.dropped, waitingBytes: output.waitingBytes };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
await output.flush(200);
process.exit(0);
