// `playground --check`: the whole scenario, unattended. Exit code 0 only if every claim holds and nothing is left.
import { randomBytes } from 'node:crypto';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SameNode } from '../daemons.ts';
import { Mesh, sampleManifests } from '../mesh.ts';
import type { Output } from '../live/screen.ts';
import { liveRuns } from '../run-directory.ts';
import { accountChecks, captureChecks } from './capture-checks.ts';
import type { Check, CheckResult } from './checklist.ts';
import { renderResult, renderSummary, runChecks } from './checklist.ts';
import { expect, ms } from './expect.ts';
import { failureChecks } from './failure-checks.ts';
import type { Inventory } from './leftovers.ts';
import { leftBehind, takeInventory } from './leftovers.ts';
import { policyChecks } from './policy-checks.ts';
import { trafficChecks } from './traffic-checks.ts';
import { wireChecks } from './wire-checks.ts';

export interface CheckRunOptions {
  readonly output: Output;
  readonly color: boolean;
  readonly sameNode?: SameNode | undefined;
  readonly progress: (step: string) => void;
  /** Aborted when the user wants to stop: the mesh is removed and the check has failed. */
  readonly signal: AbortSignal;
}

const timeoutMs = 45_000;

/** Returns the exit code. */
export async function runCheck(options: CheckRunOptions): Promise<number> {
  const report = (result: CheckResult): void =>
    void options.output.write(`${renderResult(result, options.color)}\n`);
  const before = await takeInventory();
  const marker = `plaintext-${randomBytes(12).toString('hex')}`;
  let mesh: Mesh | undefined;
  const results: CheckResult[] = [];
  const run = async (checks: readonly Check[]): Promise<void> => {
    for (const check of checks)
      if (!options.signal.aborted) results.push(...(await runChecks([check], { timeoutMs, report })));
  };
  const start: Check = {
    title: 'the mesh starts',
    run: async () => {
      const started = performance.now();
      mesh = await Mesh.start({
        sample: sampleManifests,
        marker,
        certificateLifetime: '15s',
        drainTimeout: '5s',
        sameNode: options.sameNode,
        progress: options.progress,
      });
      const { nodes, pods } = mesh.shop;
      return `${nodes.length} nodes, ${pods.length} pods after ${ms(performance.now() - started)}`;
    },
  };
  await run([start]);
  if (mesh !== undefined) {
    const stop = (): void => void mesh?.close();
    options.signal.addEventListener('abort', stop, { once: true });
    await runAll(mesh, marker, run);
    options.signal.removeEventListener('abort', stop);
  }
  if (mesh !== undefined && results.some((result) => !result.ok)) {
    const kept = join(tmpdir(), `culvert-${mesh.state.id}-logs`);
    await cp(mesh.paths.logs, kept, { recursive: true }).catch(() => undefined); // stopped by the user: all is gone
    options.output.write(`      the logs are kept in ${kept}\n`);
  }
  await run([leftoverCheck(before, mesh)]);
  await mesh?.close();
  options.output.write(`\n${renderSummary(results)}\n`);
  return !options.signal.aborted && results.every((result) => result.ok) ? 0 : 1;
}

async function runAll(
  mesh: Mesh,
  marker: string,
  run: (checks: readonly Check[]) => Promise<void>,
): Promise<void> {
  const scenario = { mesh, marker };
  await run(captureChecks(scenario));
  const tap = await mesh.tap('node2');
  await mesh.startContainers();
  await run(trafficChecks(scenario));
  await run(policyChecks(scenario));
  await run(accountChecks(scenario));
  await run(wireChecks(scenario, tap));
  await run(failureChecks(scenario));
}

/** Closing the mesh is part of what is checked. */
function leftoverCheck(before: Inventory, mesh: Mesh | undefined): Check {
  return {
    title: 'nothing is left behind',
    run: async () => {
      await mesh?.close();
      const after = await takeInventory();
      const others = (await liveRuns()).map(({ id }) => id).filter((id) => id !== mesh?.state.id);
      const left = leftBehind(before, after, others);
      expect(left.length === 0, left.slice(0, 8).join('\n'));
      return `${Object.keys(before).length} kinds of things compared`;
    },
  };
}
