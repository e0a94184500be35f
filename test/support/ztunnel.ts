// A node proxy whose engine, capture, controller, certificates and clock are the test's.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { Readiness } from '../../src/runtime/readiness.ts';
import type { ControlHandlers } from '../../src/ztunnel/mesh-state.ts';
import type { PodSession } from '../../src/ztunnel/pods/pod-source.ts';
import { ztunnelSettings } from '../../src/ztunnel/settings.ts';
import type { ZtunnelSettings } from '../../src/ztunnel/settings.ts';
import { Ztunnel } from '../../src/ztunnel/ztunnel.ts';
import { FakeCapture } from './fake-capture.ts';
import { FakeCertificates } from './fake-certificates.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeEngine } from './fake-engine.ts';

export interface TestZtunnel {
  readonly ztunnel: Ztunnel;
  readonly engine: FakeEngine;
  readonly capture: FakeCapture;
  readonly certificates: FakeCertificates;
  readonly clock: FakeClock;
  readonly readiness: Readiness;
  readonly metrics: ReturnType<typeof createMetrics>;
  /** What a controller would say is said to these. */
  readonly controller: ControlHandlers;
  /** What a pod agent would say is said to this. */
  readonly agent: PodSession;
  /** A file that passes for a pod's namespace. */
  readonly netns: string;
  readonly close: () => Promise<void>;
}

/** Starts one with all settings at their defaults. */
export async function startTestZtunnel(): Promise<TestZtunnel> {
  const directory = mkdtempSync(join(tmpdir(), 'culvert-ztunnel-'));
  const netns = join(directory, 'netns');
  writeFileSync(netns, '');
  const engine = new FakeEngine();
  const capture = new FakeCapture();
  const certificates = new FakeCertificates({ issueAtOnce: true });
  const clock = new FakeClock();
  const readiness = new Readiness();
  const metrics = createMetrics({ processMetrics: false });
  let controller: ControlHandlers | undefined;
  let agent: PodSession | undefined;
  const fallbacks = Object.entries(ztunnelSettings).map(([name, { fallback }]) => [name, fallback]);
  const ztunnel = await Ztunnel.start({
    settings: Object.fromEntries(fallbacks) as ZtunnelSettings,
    createEngine: engine.create,
    capture,
    connect: (handlers) => {
      controller = handlers;
      return {
        start: () => undefined,
        status: () => ({
          state: 'connected',
          synced: true,
          resources: { addresses: 3, policies: 0, pods: 2 },
          nacks: 0,
        }),
        close: () => Promise.resolve(),
      };
    },
    certificates,
    podSources: [
      {
        start: (open) => {
          agent = open();
          return Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    ],
    logger: silentLogger,
    metrics,
    readiness,
    clock,
    random: () => 0,
  });
  if (controller === undefined || agent === undefined) throw new Error('the proxy opened no channel');
  const close = async (): Promise<void> => {
    await ztunnel.close();
    rmSync(directory, { recursive: true });
  };
  return {
    ztunnel,
    engine,
    capture,
    certificates,
    clock,
    readiness,
    metrics,
    controller,
    agent,
    netns,
    close,
  };
}
