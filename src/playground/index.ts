// A whole mesh on one machine: to look at, to try things in, and to check itself.
import { runCheck } from './check/run.ts';
import type { SameNode } from './daemons.ts';
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
  /** The ztunnels' setting of that name. */
  readonly sameNode?: SameNode | undefined;
  readonly color: boolean;
  /** Say what is being done in the check, too. */
  readonly verbose?: boolean;
  readonly output: Output;
  /** Progress goes here. */
  readonly errors: Output;
  /** Ends it; without one, SIGINT, SIGTERM and SIGHUP do. */
  readonly signal?: AbortSignal;
}

/** Runs until it is told to end, or to the end of the check. Returns the exit code; leaves nothing behind. */
export async function runPlayground(options: PlaygroundOptions): Promise<number> {
  const missing = await missingRequirements();
  if (missing.length > 0) {
    options.errors.write(`${missing.join('\n')}\n`);
    return 1;
  }
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  if (options.signal === undefined) for (const name of endSignals) process.on(name, stop);
  const signal = options.signal ?? stopping.signal;
  // Whoever looked has gone, with the terminal or with the other end of a pipe: that is a wish to end, not a crash.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', stop);
  try {
    return await (options.check ? check(options, signal) : show(options, signal));
  } finally {
    for (const name of endSignals) process.off(name, stop);
    // The error listeners stay: the last words may still fail.
  }
}

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function check(options: PlaygroundOptions, signal: AbortSignal): Promise<number> {
  const progress = (step: string): void => {
    if (options.verbose === true) options.errors.write(`culvert: ${step}\n`);
  };
  const { output, color, sameNode } = options;
  return runCheck({ output, color, sameNode, progress, signal });
}

async function show(options: PlaygroundOptions, signal: AbortSignal): Promise<number> {
  const { manifests } = options;
  const progress = (step: string): void => void options.errors.write(`culvert: ${step}\n`);
  const mesh = await Mesh.start({
    sample: manifests ?? sampleManifests,
    ...(manifests !== undefined && { manifests }),
    marker: 'from the playground',
    certificateLifetime: '1h',
    drainTimeout: '2s',
    sameNode: options.sameNode,
    progress,
  });
  try {
    if (!signal.aborted) await mesh.startContainers();
    if (!signal.aborted) await watchMesh(mesh, { output: options.output, color: options.color, signal });
  } finally {
    progress('removing everything');
    await mesh.close();
  }
  return 0;
}
