// A whole mesh on one machine: to look at, to try things in, and to check itself.
import { runCheck } from './check/run.ts';
import type { Output } from './live/screen.ts';
import { watchMesh } from './live/watch.ts';
import { Mesh, sampleManifests } from './mesh.ts';
import { missingRequirements } from './requirements.ts';

export { execInPod } from './exec.ts';
export type { ExecInPodOptions } from './exec.ts';
export { PlaygroundError } from './errors.ts';

export interface PlaygroundOptions {
  /** Run the whole scenario unattended instead of showing the table. */
  readonly check: boolean;
  /** Serve this directory instead of a copy of the sample. */
  readonly manifests?: string;
  readonly color: boolean;
  readonly output: Output;
  /** Progress goes here. */
  readonly errors: Output;
}

/** Runs until Ctrl-C, or to the end of the check. Returns the exit code; leaves nothing behind. */
export async function runPlayground(options: PlaygroundOptions): Promise<number> {
  const missing = await missingRequirements();
  if (missing.length > 0) {
    options.errors.write(`${missing.join('\n')}\n`);
    return 1;
  }
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const name of endSignals) process.on(name, stop);
  try {
    if (options.check)
      return await runCheck({ ...options, progress: () => undefined, signal: stopping.signal });
    return await show(options, stopping.signal);
  } finally {
    for (const name of endSignals) process.off(name, stop);
  }
}

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function show(options: PlaygroundOptions, signal: AbortSignal): Promise<number> {
  const { manifests } = options;
  const progress = (step: string): void => void options.errors.write(`culvert: ${step}\n`);
  const mesh = await Mesh.start({
    sample: manifests ?? sampleManifests,
    ...(manifests !== undefined && { manifests }),
    marker: 'from the playground',
    certificateLifetime: '1h',
    drainTimeout: '2s',
    progress,
  });
  try {
    if (!signal.aborted) await mesh.startContainers();
    if (!signal.aborted) await watchMesh(mesh, { ...options, signal });
  } finally {
    progress('removing everything');
    await mesh.close();
  }
  return 0;
}
