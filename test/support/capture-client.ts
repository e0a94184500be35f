// The test's side of capture-agent.ts: one ztunnel stand-in for one pod.
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CaptureOptions } from '../../src/engine/capture.ts';
import type { CaptureFault, CaptureResult, CaptureSpec } from '../../src/engine/capture-types.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { Program, type Topology } from './netns.ts';

const support = fileURLToPath(new URL('.', import.meta.url));

export type PodSettings = Omit<CaptureSpec, 'podId' | 'netns'>;

export class AgentError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class CaptureAgent {
  readonly #program: Program;
  readonly #topology: Topology;
  readonly podId: string;

  private constructor(program: Program, topology: Topology, podId: string) {
    this.#program = program;
    this.#topology = topology;
    this.podId = podId;
  }

  /** A relay with its listeners in the pod's namespace, and an agent that can attach them. */
  static start(
    topology: Topology,
    options: Partial<Omit<CaptureOptions, 'onFault'>> & {
      readonly ipv6?: boolean;
      readonly podId?: string;
    } = {},
  ): CaptureAgent {
    const { ipv6 = true, podId = topology.pod, ...captureOptions } = options;
    const program = new Program([
      'python3',
      join(support, 'capture-relay.py'),
      topology.path(topology.pod),
      ipv6 ? '6' : '4',
      '--',
      process.execPath,
      join(support, 'capture-agent.ts'),
      JSON.stringify(captureOptions),
    ]);
    return new CaptureAgent(topology.track(program), topology, podId);
  }

  async attach(settings: Partial<PodSettings> & { readonly path?: string } = {}): Promise<CaptureResult> {
    return (await this.call('attach', {
      ...this.#spec(settings),
      path: settings.path ?? this.#topology.path(this.#topology.pod),
    })) as CaptureResult;
  }

  async update(settings: Partial<PodSettings>): Promise<void> {
    await this.call('update', this.#spec(settings));
  }

  async release(): Promise<void> {
    await this.call('release', this.podId);
  }

  async detach(podId = this.podId): Promise<void> {
    await this.call('detach', podId);
  }

  async audit(): Promise<CaptureFault[]> {
    return (await this.call('audit', this.podId)) as CaptureFault[];
  }

  async counters(): Promise<Record<string, number>> {
    return (await this.call('counters', this.podId)) as Record<string, number>;
  }

  async keptConnections(): Promise<number> {
    return (await this.call('keptConnections', this.podId)) as number;
  }

  async closeKept(): Promise<number> {
    return (await this.call('closeKept', this.podId)) as number;
  }

  async pinned(): Promise<string[]> {
    return (await this.call('pinned')) as string[];
  }

  async call(method: string, argument?: unknown): Promise<unknown> {
    const answer = JSON.parse(await this.#program.ask(JSON.stringify({ method, argument }))) as {
      ok?: unknown;
      error?: { code: string; message: string };
    };
    if (answer.error !== undefined) throw new AgentError(answer.error.code, answer.error.message);
    return answer.ok;
  }

  /** Ends the agent as an upgrade would: what it attached stays. */
  async end(): Promise<void> {
    await this.#program.end();
  }

  #spec(settings: Partial<PodSettings>): object {
    return { podId: this.podId, probePorts: [], nodeAddresses: [], exclusions: noExclusions, ...settings };
  }
}

/** Tries until `check` does not fail, for at most ten seconds; then fails as it failed last. */
export async function settles(check: () => void | Promise<void>): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await setImmediate();
    }
  }
}
