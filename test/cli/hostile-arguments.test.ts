// Arguments that nobody meant: the answer is an exit code and a sentence, never a stack trace.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { run } from '../../src/cli/main.ts';
import { registerProcess, listProcesses } from '../../src/runtime/process-registry.ts';
import { anyText, brokenText, checkAsync, propertyTimeoutMs } from '../support/properties.ts';
import { recordedTerminal } from '../support/terminal.ts';

describe('a command line that nobody meant', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-arguments-'));
  });
  after(() => rm(directory, { recursive: true }));

  it('ends with an exit code and says why', async () => {
    const command = fc.constantFrom(
      ...[
        ['status'],
        ['why'],
        ['why', 'a', 'b'],
        ['policy', 'check'],
        ['close-older'],
        ['close-older', 'a/b'],
      ],
      ...[['completion'], ['help'], ['nonsense'], []],
    );
    const option = fc.constantFrom(
      '-o',
      '--output',
      '--output=json',
      '--ztunnel',
      '--run-directory',
      '--',
      '-',
      '--help',
    );
    const argument = fc.oneof(option, anyText, brokenText(option));
    await checkAsync(
      fc.asyncProperty(command, fc.array(argument, { maxLength: 3 }), async (words, more) => {
        const terminal = recordedTerminal({ CULVERT_RUN_DIRECTORY: directory });
        const code = await run([...words, ...more], terminal);
        assert.ok(code >= 0 && code <= 3);
        assert.notEqual(terminal.out() + terminal.err(), '');
      }),
      300,
    );
  }).timeout(propertyTimeoutMs());

  it('gets no answer from another program that listens there', async () => {
    for (const body of ['<html>', '"text"', 'null', '']) {
      const server: Server = createServer((_request, response) => response.end(body));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const terminal = recordedTerminal();
      const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;

      assert.equal(await run(['status', '--ztunnel', at], terminal), 3);
      assert.match(terminal.err(), /\/status was answered with what is not JSON/);
      server.close();
    }
  });

  it('does not take a record of a process group for a process', async () => {
    const good = { kind: 'ztunnel', name: 'a', pid: process.pid, startedMs: 1, adminSocket: '/x' } as const;
    const remove = await registerProcess(directory, good);
    for (const [i, text] of [
      ...[0, -1, 1.5, Number.MAX_SAFE_INTEGER].map((pid) => JSON.stringify({ ...good, pid })),
      ...['', 'null', '[]', '{}', '{"kind":', '\0'],
    ].entries())
      await writeFile(join(directory, `ztunnel-${i}.json`), text);

    assert.deepEqual(await listProcesses(directory), [good]);
    await remove();
  });
});
