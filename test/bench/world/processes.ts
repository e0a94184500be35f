// What the kernel knows of a process: CPU and memory.
import { readFile, writeFile } from 'node:fs/promises';

export interface ProcessMemory {
  readonly residentBytes: number;
  /** Not shared with a file: heap, stacks. */
  readonly anonymousBytes: number;
  /** The most that was resident since the peak was reset. */
  readonly peakBytes: number;
}

/** Seconds of CPU of all its threads, the ended ones included. */
export function processCpuSeconds(pid: number): Promise<number> {
  return cpuSeconds(`/proc/${pid}/stat`);
}

/** Seconds of CPU of its first thread alone: JavaScript's, in Node. */
export function mainThreadCpuSeconds(pid: number): Promise<number> {
  return cpuSeconds(`/proc/${pid}/task/${pid}/stat`);
}

async function cpuSeconds(file: string): Promise<number> {
  const text = await readFile(file, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100; // USER_HZ is 100 on every architecture that Node runs on
}

export async function processMemory(pid: number): Promise<ProcessMemory> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon'), peakBytes: bytes('VmHWM') };
}

/** The peak begins anew with what is resident now. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}
