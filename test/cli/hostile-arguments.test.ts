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
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { registerProcess, listProcesses } from '../../src/runtime/process-registry.ts';
import { ZtunnelError } from '../../src/ztunnel/errors.ts';
import { resolveDestination, resolveWorkload } from '../../src/ztunnel/resolve-reference.ts';
import { service, workload } from '../support/mesh-objects.ts';
import {
  anyText,
  brokenText,
  check,
  checkAsync,
  growth,
  propertyTimeoutMs,
  thrownBy,
} from '../support/properties.ts';
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

describe('a reference on the command line', () => {
  const key = 'shop/cart.shop.svc.cluster.local';
  const frontend = workload({ name: 'frontend', addresses: [ip('10.0.1.1')] });
  const cart = workload({
    name: 'cart-1',
    workloadName: 'cart',
    addresses: [ip('10.0.2.1')],
    services: new Map([[key, [{ servicePort: 80, targetPort: 8080 }]]]),
  });
  const snapshot = MeshSnapshot.empty().with({
    workloads: [frontend, cart],
    services: [service({ name: 'cart' })],
  });

  it('is found, or unknown with a sentence', () => {
    const written = fc.constantFrom(
      'cart:80',
      'shop/cart:80',
      '10.0.2.1:80',
      '[fd00::1]:80',
      'shop/cart-1',
      cart.uid,
    );
    check(
      fc.property(fc.oneof(written, brokenText(written), anyText), (text) => {
        for (const act of [
          (): unknown => resolveDestination(snapshot, frontend, text),
          (): unknown => resolveWorkload(snapshot, '', text),
        ]) {
          const error = thrownBy(act);
          assert.ok(error === undefined || error instanceof ZtunnelError, String(error));
        }
      }),
      500,
    );
  });

  it('with more parts than a name has is unknown', () => {
    assert.throws(() => resolveWorkload(snapshot, '', 'shop/cart-1/other'), {
      code: 'ERR_CULVERT_WHY_UNKNOWN',
    });
  });

  for (const unit of ['a', ':', '1', '[', '/', '.'])
    it(`takes its time in proportion: ${unit}`, () => {
      const read = (text: string): unknown => thrownBy(() => resolveDestination(snapshot, frontend, text));

      assert.ok(growth(2_000, (n) => `${unit.repeat(n)}:x`, read) < 24);
    });
});
