// Asks running processes by their admin endpoints: those that registered in a run directory, or the one that was named.
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { messageOf } from '../runtime/errors.ts';
import type { ProcessRecord } from '../runtime/process-registry.ts';
import { listProcesses } from '../runtime/process-registry.ts';
import { parseHostPort } from '../runtime/setting-types.ts';
import { CliError } from './errors.ts';

export const runDirectoryDefault = '/run/culvert';
const answerMsMax = 5_000;
const answerBytesMax = 256 * 1024 * 1024;

/** Where to ask: a host and port, or the path of a socket file. */
export type AdminTarget = { readonly host: string; readonly port: number } | { readonly socketPath: string };

export interface AdminProcess {
  readonly kind: ProcessRecord['kind'];
  readonly name: string;
  readonly target: AdminTarget;
}

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

export interface FindOptions {
  readonly runDirectory?: string;
  /** `host:port` or a socket file: this one ztunnel, whoever it is. */
  readonly ztunnel?: string;
}

/** The processes to ask. Throws ERR_CULVERT_NO_PROCESS if there is none. */
export async function findProcesses(options: FindOptions): Promise<readonly AdminProcess[]> {
  if (options.ztunnel !== undefined) return [named(options.ztunnel)];
  const directories =
    options.runDirectory === undefined
      ? [runDirectoryDefault, ...(await playgroundRuns(join(runDirectoryDefault, 'playground')))]
      : [options.runDirectory];
  const records = (await Promise.all(directories.map(listProcesses))).flat();
  if (records.length > 0)
    return records.map(({ kind, name, adminSocket }) => ({
      kind,
      name,
      target: { socketPath: adminSocket },
    }));
  throw new CliError(
    'ERR_CULVERT_NO_PROCESS',
    `no controller and no ztunnel run here (looked in ${directories[0]}); ` +
      'start a mesh with `culvert playground`, or name one with --ztunnel <host:port|socket>',
  );
}

/** One request. Throws ERR_CULVERT_NO_ANSWER if there is no answer in time. */
export function ask(target: AdminTarget, path: string, method: 'GET' | 'POST' = 'GET'): Promise<AdminAnswer> {
  const where = 'socketPath' in target ? target.socketPath : `${target.host}:${target.port}`;
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(
        new CliError('ERR_CULVERT_NO_ANSWER', `no answer from ${where}: ${messageOf(cause)}`, { cause }),
      );
    const asked = request(
      { ...target, path, method, agent: false, signal: AbortSignal.timeout(answerMsMax) },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax) response.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    asked.on('error', fail);
    asked.end();
  });
}

/** The JSON of an answer, or undefined if the process has no such thing (404), which it may explain to `unknown`. */
export async function askJson<T>(
  target: AdminTarget,
  path: string,
  unknown?: (message: string) => void,
  method: 'GET' | 'POST' = 'GET',
): Promise<T | undefined> {
  const { status, body } = await ask(target, path, method);
  if (status === 200) return parseAnswer<T>(path, body);
  if (status === 404) {
    unknown?.(explanationIn(body));
    return undefined;
  }
  throw new CliError('ERR_CULVERT_NO_ANSWER', `${path} was answered with ${status}: ${body.trim()}`);
}

/** Throws ERR_CULVERT_NO_ANSWER for what is not the JSON of an object: another program may listen there. */
function parseAnswer<T>(path: string, body: string): T {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null) return value as T;
  throw new CliError(
    'ERR_CULVERT_NO_ANSWER',
    `${path} was answered with what is not JSON: is it one of ours?`,
  );
}

/** The message of an error answer; what is not JSON is its own message. */
function explanationIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { readonly message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // not JSON
  }
  return body.trim();
}

function named(text: string): AdminProcess {
  const target = text.includes('/') ? { socketPath: text } : parseHostPort(text);
  if (target === undefined)
    throw new CliError('ERR_CULVERT_USAGE', `--ztunnel: "${text}" is neither host:port nor a socket file`);
  return { kind: 'ztunnel', name: text, target };
}

/** A playground keeps its processes in a directory of its own run. */
async function playgroundRuns(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
}
