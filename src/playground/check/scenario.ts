// What the checks have in hand: the mesh, the text no wire may show, and short ways to use the pods' programs.
import { join } from 'node:path';
import type { ExecResult } from '../exec.ts';
import type { Mesh } from '../mesh.ts';

export interface Scenario {
  readonly mesh: Mesh;
  readonly marker: string;
}

export const families = ['4', '6'] as const;
export type Family = (typeof families)[number];

/** A pod's address of that family. */
export function addressOf(mesh: Mesh, pod: string, family: Family): string {
  const found = mesh.pod(pod).addresses.find((ip) => ip.includes(':') === (family === '6'));
  if (found === undefined) throw new Error(`${pod} has no IPv${family} address`);
  return found;
}

/** `curl` of a URL from a pod, 3 seconds at most. */
export function curl(mesh: Mesh, pod: string, url: string, family: Family = '4'): Promise<ExecResult> {
  return mesh.exec(pod, ['curl', '-sS', '-m', '3', `-${family}`, '-g', url]);
}

/** One of the sample's programs in a pod. */
export function python(
  mesh: Mesh,
  pod: string,
  program: string,
  args: readonly string[],
  options: Parameters<Mesh['exec']>[2] = {},
): Promise<ExecResult> {
  return mesh.exec(pod, ['python3', join(mesh.paths.programs, program), ...args], options);
}

/** A program that says `open` once it is connected, and then runs on. */
export interface Running {
  /** Resolves at `open`; rejects if the program ended first. */
  readonly open: Promise<void>;
  readonly done: Promise<ExecResult>;
  ended(): boolean;
  stop(): Promise<void>;
}

export function running(mesh: Mesh, pod: string, program: string, args: readonly string[]): Running {
  const abort = new AbortController();
  const opened = Promise.withResolvers<void>();
  let ended = false;
  const done = python(mesh, pod, program, args, {
    timeoutMs: 60_000,
    signal: abort.signal,
    onOutput: (text) => {
      if (text.includes('open')) opened.resolve();
    },
  }).finally(() => {
    ended = true;
    opened.reject(new Error(`${program} in ${pod} ended before it was connected`));
  });
  opened.promise.catch(() => undefined); // whoever does not wait for it learns of the end by `done`
  return {
    open: opened.promise,
    done,
    ended: () => ended,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}
