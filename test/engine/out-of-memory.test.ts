// When the machine has no memory at all, the process ends and says so. Not for sanitizers, which take all addresses there are.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Outside } from '../support/outside.ts';

describe('an engine without memory', function () {
  this.timeout(60_000);
  let outside: Outside;
  beforeEach(() => (outside = new Outside()));
  afterEach(() => outside.close());

  it('ends, and says so last', async () => {
    const port = await outside.ask('sink');
    const script = resolve(import.meta.dirname, '../support/memory-node.ts');
    const child = spawn(process.execPath, [script, port, String(8 << 20)], {
      stdio: 'pipe',
      env: { ...process.env, MALLOC_ARENA_MAX: '1' }, // others reserve addresses ahead, and would have some left
    });
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const entry = String((await lines.next()).value);
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    child.stdin.write('now\n');
    assert.equal((await lines.next()).value, 'limited');

    await outside.ask(`fill 150 ${entry}`);
    const [code, signal] = await ended;

    assert.ok(
      code !== 0 && (signal === 'SIGABRT' || signal === 'SIGTRAP' || code !== null),
      `${code} ${signal}`,
    );
    assert.match(complaints, /out of memory/);
  });
});
