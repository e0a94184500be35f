// What a run has measured, and where the last recorded run is kept: docs/hardening.md is made from it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Attack } from './attack.ts';

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of round trips and of new connections. */
  readonly worstMs: number;
}

export interface Figures {
  readonly name: string;
  readonly group: Attack['group'];
  /** How it ended. */
  readonly ended: string;
  readonly seconds: number;
  /** CPU seconds per second of attack. */
  readonly engineCores: number;
  readonly processCores: number;
  /** Resident memory above what it was. */
  readonly megabytes: { readonly peak: number; readonly left: number };
  readonly quiet: Latency;
  readonly during: Latency;
  readonly neighbourFailures: readonly string[];
  readonly logLines: number;
}

const file = join(import.meta.dirname, 'figures.json');

export function recordedFigures(): readonly Figures[] {
  return JSON.parse(readFileSync(file, 'utf8')) as readonly Figures[];
}

export function recordFigures(figures: readonly Figures[]): void {
  const rounded = JSON.stringify(
    figures,
    (_, value: unknown) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value),
    2,
  );
  writeFileSync(file, `${rounded}\n`);
}
