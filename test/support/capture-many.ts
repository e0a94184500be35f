// Captures many pods one after the other as a ztunnel does, releases them again, and prints what each step took and left:
//   node capture-many.ts <bpffs> <namespace prefix> <pods>
// One line of JSON. Times are in milliseconds; the thread is the only JavaScript thread, which does nothing else meanwhile.
import { closeSync, openSync, readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { KernelCapture } from '../../src/engine/capture.ts';
import type { CaptureAddon } from '../../src/engine/capture-native.ts';
import { captureAddon } from '../../src/engine/capture-native.ts';
import { defaultEngineOptions, startEngine } from '../../src/engine/engine.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { eventually } from './eventually.ts';

export interface ManyCaptured {
  readonly attachMs: readonly number[];
  readonly detachMs: readonly number[];
  /** CPU time of all threads, milliseconds for each pod. */
  readonly attachCpuMs: number;
  readonly detachCpuMs: number;
  /** Calls into the addon for each pod. */
  readonly attachCalls: readonly number[];
  readonly detachCalls: readonly number[];
  readonly descriptors: { readonly before: number; readonly captured: number; readonly after: number };
  readonly residentBytes: { readonly before: number; readonly captured: number; readonly after: number };
  readonly faults: readonly string[];
  readonly pinned: { readonly captured: number; readonly after: number };
}

if (import.meta.main) {
  const [bpffs = '', prefix = '', count = '1'] = process.argv.slice(2);
  process.stdout.write(`${JSON.stringify(await captureMany(bpffs, prefix, Number(count)))}\n`);
  process.exit(0);
}

async function captureMany(bpffs: string, prefix: string, count: number): Promise<ManyCaptured> {
  const counting = countCalls(captureAddon());
  const faults: string[] = [];
  const engine = startEngine(defaultEngineOptions, () => undefined);
  const capture = KernelCapture.open(
    { bpffs, onFault: (podId, error) => faults.push(`${podId}: ${String(error)}`) },
    counting.addon,
  );
  const pods = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
  const attach = (podId: string): void => {
    const netns = openSync(`/var/run/netns/${podId}`, 'r');
    try {
      const listeners = engine.addPod(podId, netns, { tlsIdentity: 'spiffe://t/ns/n/sa/a', ipv6: true });
      const plan = { probePorts: [8080], nodeAddresses: [], exclusions: noExclusions };
      capture.attach({ podId, netns, listeners, ...plan });
    } finally {
      closeSync(netns);
    }
  };
  const detach = (podId: string): void => {
    capture.detach(podId);
    engine.removePod(podId, 0);
  };
  const before = standing();
  const attached = each(pods, attach, counting);
  const captured = standing();
  const pinned = capture.pinned().length;
  for (const podId of pods)
    faults.push(...capture.audit(podId).map(({ what, detail }) => `${podId}: ${what}: ${detail}`));
  const detached = each(pods, detach, counting);
  const left = capture.pinned().length;
  // What watches a namespace is closed by the event loop, what listens in it by an engine thread.
  await eventually(
    'the descriptors of all pods closed',
    () => standing().descriptors <= before.descriptors + count / 10,
    10_000,
  );
  const after = standing();
  capture.close();
  engine.close();
  return {
    attachMs: attached.ms,
    attachCpuMs: attached.cpuMs,
    attachCalls: attached.calls,
    detachMs: detached.ms,
    detachCpuMs: detached.cpuMs,
    detachCalls: detached.calls,
    descriptors: { before: before.descriptors, captured: captured.descriptors, after: after.descriptors },
    residentBytes: { before: before.rss, captured: captured.rss, after: after.rss },
    faults,
    pinned: { captured: pinned, after: left },
  };
}

function each(
  pods: readonly string[],
  work: (podId: string) => void,
  counting: { readonly calls: number },
): { readonly ms: readonly number[]; readonly calls: readonly number[]; readonly cpuMs: number } {
  const cpu = process.cpuUsage();
  const taken = pods.map((podId) => {
    const [from, calls] = [performance.now(), counting.calls];
    work(podId);
    return { ms: performance.now() - from, calls: counting.calls - calls };
  });
  const { user, system } = process.cpuUsage(cpu);
  return {
    ms: taken.map(({ ms }) => ms),
    calls: taken.map(({ calls }) => calls),
    cpuMs: (user + system) / 1e3 / pods.length,
  };
}

function standing(): { readonly descriptors: number; readonly rss: number } {
  return { descriptors: readdirSync('/proc/self/fd').length, rss: process.memoryUsage.rss() };
}

/** The addon, with each call of a method of its classes counted. */
function countCalls(addon: CaptureAddon): { readonly addon: CaptureAddon; readonly calls: number } {
  let calls = 0;
  const counted = <C extends new () => object>(made: C): C => {
    const Counted = class extends (made as new () => object) {} as unknown as C;
    for (const name of Object.getOwnPropertyNames(made.prototype)) {
      const method = (made.prototype as Record<string, unknown>)[name];
      if (name === 'constructor' || typeof method !== 'function') continue;
      Object.defineProperty(Counted.prototype, name, {
        value(this: unknown, ...args: unknown[]): unknown {
          calls += 1;
          return Reflect.apply(method, this, args);
        },
      });
    }
    return Counted;
  };
  return {
    addon: { ...addon, Capture: counted(addon.Capture), SocketMarker: counted(addon.SocketMarker) },
    get calls() {
      return calls;
    },
  };
}
