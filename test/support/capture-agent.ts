// What ztunnel does to a pod, driven by a test: started by capture-relay.py with the listeners' descriptors.
// Reads one JSON request a line, {method, args}, and answers each with {ok} or {error}.
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type CaptureOptions, KernelCapture } from '../../src/engine/capture.ts';
import type { CaptureSpec } from '../../src/engine/capture-types.ts';
import { EngineError } from '../../src/engine/errors.ts';
import { messageOf } from '../../src/runtime/errors.ts';

const [outbound = -1, plaintext = -1, hbone = -1] = (process.env['CULVERT_TEST_LISTENERS'] ?? '')
  .split(',')
  .map(Number);
const options = JSON.parse(process.argv[2] ?? '{}') as Partial<CaptureOptions>;
const faults: string[] = [];
const capture = KernelCapture.open({
  ...options,
  onFault: (podId, error) => faults.push(`${podId}: ${messageOf(error)}`),
});

type AttachRequest = Omit<CaptureSpec, 'netns' | 'listeners'> & {
  readonly path: string;
  readonly listeners?: CaptureSpec['listeners'];
};

const methods: Record<string, (argument: never) => unknown> = {
  attach: ({ path, ...spec }: AttachRequest) => {
    const netns = openSync(path, 'r');
    try {
      return capture.attach({ listeners: { outbound, plaintext, hbone }, ...spec, netns });
    } finally {
      closeSync(netns);
    }
  },
  update: (spec: Omit<CaptureSpec, 'netns' | 'listeners'>) => capture.update(spec),
  release: (podId: string) => capture.release(podId),
  detach: (podId: string) => capture.detach(podId),
  audit: (podId: string) => capture.audit(podId),
  counters: (podId: string) => capture.counters(podId),
  keptConnections: (podId: string) => capture.keptConnections(podId),
  closeKept: (podId: string) => capture.closeKept(podId),
  pinned: () => capture.pinned(),
  faults: () => faults,
  close: () => capture.close(),
};

function answer(line: string): object {
  const { method, argument } = JSON.parse(line) as { method: string; argument: never };
  try {
    return { ok: methods[method]?.(argument) ?? null };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const text = JSON.stringify(answer(line), (_, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
  process.stdout.write(`${text}\n`);
}
capture.close();
