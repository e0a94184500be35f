import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** engine.md section 3: what an idle connection may cost in TypeScript. */
const bytesMax = 1024;
const program = join(import.meta.dirname, '../support/bytes-per-connection.ts');

describe('an open connection', function () {
  this.timeout(60_000);

  for (const direction of ['outbound', 'inbound'])
    it(`costs less than ${bytesMax} bytes of heap in TypeScript (${direction})`, () => {
      const printed = execFileSync(process.execPath, ['--expose-gc', program, direction, '50000'], {
        encoding: 'utf8',
      });

      const bytes = Number(printed);
      assert.ok(bytes > 100 && bytes < bytesMax, `${bytes} bytes`);
    });
});
