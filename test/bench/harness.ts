// What every bench shares: a mesh with a pair of pods inside and a pair beside it, and how figures are taken.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Mesh } from '../../src/playground/mesh.ts';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'less' | 'more';
  readonly mesh: number;
  /** Undefined where a direct connection has nothing to compare. */
  readonly direct?: number;
}

/** Answers one question: the file it stands in says which, and runs on its own. */
export type Answer = (bench: Bench) => Promise<readonly Figure[]>;

/** Starts a mesh, takes the figures and prints them as a table of 80 columns. */
export async function ask(answer: Answer): Promise<void> {
  const bench = await Bench.start((step) => process.stderr.write(`  ${step}\n`));
  const stop = (): void => void bench.close().then(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    process.stdout.write(`${renderFigures(await answer(bench)).join('\n')}\n`);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await bench.close();
  }
}

export const serverAddress = { mesh: '10.244.2.11', direct: '10.244.2.12' } as const;
export type Side = keyof typeof serverAddress;
const clientPod = { mesh: 'client', direct: 'dclient' } as const;

/** Rounds of each measurement; the median counts, and sides take turns, so that a noisy moment hits both. */
export const rounds = 3;

export class Bench {
  readonly mesh: Mesh;
  readonly #sample: string;

  private constructor(mesh: Mesh, sample: string) {
    this.mesh = mesh;
    this.#sample = sample;
  }

  static async start(progress: (step: string) => void): Promise<Bench> {
    const here = fileURLToPath(new URL('.', import.meta.url));
    const sample = await mkdtemp(join(tmpdir(), 'culvert-bench-'));
    const text = await readFile(join(here, 'manifests/bench.yaml'), 'utf8');
    await writeFile(join(sample, 'bench.yaml'), text.replaceAll('/bench/', join(here, 'programs/')));
    const mesh = await Mesh.start({
      sample,
      marker: '',
      certificateLifetime: '24h',
      drainTimeout: '1s',
      progress,
    }).catch(async (error: unknown) => {
      await rm(sample, { recursive: true, force: true });
      throw error;
    });
    const bench = new Bench(mesh, sample);
    try {
      await mesh.startContainers();
      for (const side of ['mesh', 'direct'] as const) await bench.#answers(side);
      return bench;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  /** Waits until the echo server of a side answers. */
  async #answers(side: Side): Promise<void> {
    const command = ['python3', program('roundtrip.py'), serverAddress[side], '7000', '0.01'];
    const deadline = Date.now() + 10_000;
    for (;;) {
      const result = await this.mesh.exec(clientPod[side], command, { timeoutMs: 5000 });
      if (result.code === 0) return;
      if (Date.now() > deadline) throw new Error(`the ${side} side does not answer: ${result.stderr}`);
    }
  }

  /** Runs a command in the client's pod of that side; returns its output. Throws if it fails. */
  async client(side: Side, command: readonly string[], timeoutMs = 30_000): Promise<string> {
    const result = await this.mesh.exec(clientPod[side], command, { timeoutMs });
    if (result.code !== 0)
      throw new Error(`${command.join(' ')} on the ${side} side: ${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  /** Seconds of CPU that both ztunnels have used. */
  async cpuSeconds(): Promise<number> {
    let ticks = 0;
    for (const node of this.mesh.shop.nodes) {
      const text = await readFile(`/proc/${this.mesh.ztunnel(node).pid}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
    }
    return ticks / 100; // USER_HZ is 100 on every architecture that Node runs on
  }

  /** Resident bytes of a node's ztunnel. */
  async residentBytes(node: string): Promise<number> {
    const text = await readFile(`/proc/${this.mesh.ztunnel(node).pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  }

  async close(): Promise<void> {
    await this.mesh.close();
    await rm(this.#sample, { recursive: true, force: true });
  }
}

/** Path of a program of the benches. */
export function program(name: string): string {
  return fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
}

/** Takes turns: mesh, direct, mesh, ... and returns the medians of what `measure` returned, key by key. */
export async function takeTurns<K extends string>(
  measure: (side: Side) => Promise<Readonly<Record<K, number>>>,
): Promise<Readonly<Record<Side, Readonly<Record<K, number>>>>> {
  const taken: Record<Side, Readonly<Record<K, number>>[]> = { mesh: [], direct: [] };
  for (let round = 0; round < rounds; round += 1)
    for (const side of ['mesh', 'direct'] as const) taken[side].push(await measure(side));
  return { mesh: medians(taken.mesh), direct: medians(taken.direct) };
}

function medians<K extends string>(
  records: readonly Readonly<Record<K, number>>[],
): Readonly<Record<K, number>> {
  const keys = Object.keys(records[0] ?? {}) as K[];
  return Object.fromEntries(keys.map((key) => [key, median(records.map((record) => record[key]))])) as Record<
    K,
    number
  >;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A table of 80 columns: name, mesh, direct, their ratio, unit, and which way is better. */
export function renderFigures(figures: readonly Figure[]): readonly string[] {
  const line = (
    name: string,
    mesh: string,
    direct: string,
    ratio: string,
    unit: string,
    better: string,
  ): string =>
    `${name.padEnd(37)}${mesh.padStart(9)}${direct.padStart(9)}${ratio.padStart(8)}  ${unit.padEnd(8)}${better}`;
  return [
    line('', 'mesh', 'direct', 'ratio', 'unit', 'better'),
    ...figures.map(({ name, mesh, direct, unit, better }) => {
      const ratio = direct === undefined ? '' : (mesh / direct).toFixed(2);
      return line(name, short(mesh), direct === undefined ? '-' : short(direct), ratio, unit, better);
    }),
  ];
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
