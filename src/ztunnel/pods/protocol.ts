// The pod agent's protocol: one JSON object per line, one answer per request, in order.
//   {"op":"add","uid":"...","namespace":"...","name":"...","netns":"/run/netns/...","waitMs":10000}
//   {"op":"keep","uid":"..."}   {"op":"delete","uid":"..."}   {"op":"snapshot"}
// Answers: {"ok":true,"phase":"running","detail":""} or {"ok":false,"code":"ERR_CULVERT_...","message":"..."}.
// `waitMs` asks that `add` be answered when the pod is captured, or known to be none of ours; at most a minute.
// Fields are checked by hand: a schema library would be a tenth of an idle proxy's memory (docs/performance.md).
import { CulvertError, messageOf } from '../../runtime/errors.ts';
import { ZtunnelError } from '../errors.ts';
import type { PodAnnouncement, PodPhase, PodSession } from './pod-source.ts';

/** Longest line accepted, bytes. */
export const lineBytesMax = 16 * 1024;
const waitMsMax = 60_000;

export type PodAnswer =
  | { readonly ok: true; readonly phase?: PodPhase; readonly detail?: string }
  | { readonly ok: false; readonly code: string; readonly message: string };

type PodRequest =
  | { readonly op: 'add'; readonly pod: PodAnnouncement; readonly waitMs: number }
  | { readonly op: 'keep' | 'delete'; readonly uid: string }
  | { readonly op: 'snapshot' };

type Fields = Readonly<Record<string, unknown>>;

const podFields = ['uid', 'namespace', 'name', 'netns'] as const;

/** Does what one line asks for. Never rejects: what goes wrong is the answer. */
export async function answerLine(session: PodSession, line: string): Promise<PodAnswer> {
  try {
    return await answer(session, requestOf(fieldsOf(line)));
  } catch (error) {
    const code = error instanceof CulvertError ? error.code : 'ERR_CULVERT_POD_REQUEST';
    return { ok: false, code, message: messageOf(error) };
  }
}

/** The content of a pod's file. Throws ERR_CULVERT_POD_REQUEST. */
export function parsePodFile(content: string): PodAnnouncement {
  const fields = fieldsOf(content);
  refuseOthers(fields, podFields);
  return podOf(fields);
}

async function answer(session: PodSession, request: PodRequest): Promise<PodAnswer> {
  switch (request.op) {
    case 'add': {
      const { pod, waitMs } = request;
      const state = session.add(pod);
      if (waitMs === 0) return { ok: true, ...state };
      const settled = await session.settled(pod.uid, waitMs);
      if (settled?.phase === 'running' || settled?.phase === 'left_alone') return { ok: true, ...settled };
      const why = settled === undefined ? 'it was deleted' : `${settled.phase}: ${settled.detail}`;
      return {
        ok: false,
        code: 'ERR_CULVERT_POD_NOT_READY',
        message: `pod ${pod.uid} is not captured: ${why}`,
      };
    }
    case 'keep':
      session.keep(request.uid);
      return { ok: true };
    case 'delete':
      session.remove(request.uid);
      return { ok: true };
    case 'snapshot':
      session.snapshot();
      return { ok: true };
  }
}

function fieldsOf(content: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new ZtunnelError('ERR_CULVERT_POD_REQUEST', `not JSON: ${messageOf(cause)}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('request', 'not an object');
  return value as Fields;
}

function requestOf(fields: Fields): PodRequest {
  const { op } = fields;
  switch (op) {
    case 'add':
      refuseOthers(fields, ['op', 'waitMs', ...podFields]);
      return { op, pod: podOf(fields), waitMs: waitOf(fields) };
    case 'keep':
    case 'delete':
      refuseOthers(fields, ['op', 'uid']);
      return { op, uid: uidOf(fields) };
    case 'snapshot':
      refuseOthers(fields, ['op']);
      return { op };
    default:
      throw wrong('op', 'none of add, keep, delete, snapshot');
  }
}

function podOf(fields: Fields): PodAnnouncement {
  const netns = textOf(fields, 'netns', 4096);
  if (!netns.startsWith('/')) throw wrong('netns', 'not an absolute path');
  return {
    uid: uidOf(fields),
    namespace: textOf(fields, 'namespace', 253),
    name: textOf(fields, 'name', 253),
    netns,
  };
}

function uidOf(fields: Fields): string {
  const uid = textOf(fields, 'uid', 253);
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/.test(uid)) throw wrong('uid', 'has characters that no uid has');
  return uid;
}

function waitOf({ waitMs = 0 }: Fields): number {
  if (typeof waitMs === 'number' && Number.isInteger(waitMs) && waitMs >= 0 && waitMs <= waitMsMax)
    return waitMs;
  throw wrong('waitMs', `not a whole number from 0 to ${waitMsMax}`);
}

function textOf(fields: Fields, name: string, charactersMax: number): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '' && value.length <= charactersMax) return value;
  throw wrong(name, `not a text of 1 to ${charactersMax} characters`);
}

/** A field that nobody reads is a mistake of who wrote it. */
function refuseOthers(fields: Fields, known: readonly string[]): void {
  for (const name of Object.keys(fields)) if (!known.includes(name)) throw wrong(name, 'an unknown field');
}

function wrong(place: string, what: string): ZtunnelError {
  return new ZtunnelError('ERR_CULVERT_POD_REQUEST', `${place}: ${what}`);
}
