import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

describe('a command whose reader has gone', () => {
  it('ends quietly', async function () {
    this.timeout(20_000);
    const child = spawn(process.execPath, [join(root, 'src', 'cli', 'main.ts'), '--help'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));

    const [code] = (await once(child, 'close')) as [number | null];

    assert.equal(complaints, '');
    assert.equal(code, 0);
  });
});
