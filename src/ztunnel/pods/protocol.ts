// The pod agent's protocol: one JSON object per line, one answer per request, in order.
//   {"op":"add","uid":"...","namespace":"...","name":"...","netns":"/run/netns/...","waitMs":10000}
//   {"op":"keep","uid":"..."}   {"op":"delete","uid":"..."}   {"op":"snapshot"}
// Answers: {"ok":true,"phase":"running","detail":""} or {"ok":false,"code":"ERR_CULVERT_...","message":"..."}.
// `waitMs` asks that `add` be answered when the pod is captured, or known to be none of ours; at most a minute.
import { z } from 'zod';
import { CulvertError, messageOf } from '../../runtime/errors.ts';
import { ZtunnelError } from '../errors.ts';
import type { PodAnnouncement, PodPhase, PodSession } from './pod-source.ts';

/** Longest line accepted, bytes. */
export const lineBytesMax = 16 * 1024;
const waitMsMax = 60_000;

export type PodAnswer =
  | { readonly ok: true; readonly phase?: PodPhase; readonly detail?: string }
  | { readonly ok: false; readonly code: string; readonly message: string };

const text = z.string().min(1).max(253);
const uid = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/);
const announcement = {
  uid,
  namespace: text,
  name: text,
  netns: z.string().max(4096).startsWith('/'),
};
const podSchema = z.strictObject(announcement);
const requestSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('add'), ...announcement, waitMs: z.int().min(0).max(waitMsMax).optional() }),
  z.strictObject({ op: z.literal('keep'), uid }),
  z.strictObject({ op: z.literal('delete'), uid }),
  z.strictObject({ op: z.literal('snapshot') }),
]);

/** Does what one line asks for. Never rejects: what goes wrong is the answer. */
export async function answerLine(session: PodSession, line: string): Promise<PodAnswer> {
  try {
    return await answer(session, parse(requestSchema, line));
  } catch (error) {
    const code = error instanceof CulvertError ? error.code : 'ERR_CULVERT_POD_REQUEST';
    return { ok: false, code, message: messageOf(error) };
  }
}

/** The content of a pod's file. Throws ERR_CULVERT_POD_REQUEST. */
export function parsePodFile(content: string): PodAnnouncement {
  return parse(podSchema, content);
}

async function answer(session: PodSession, request: z.infer<typeof requestSchema>): Promise<PodAnswer> {
  switch (request.op) {
    case 'add': {
      const { op: _op, waitMs, ...pod } = request;
      const state = session.add(pod);
      if (waitMs === undefined || waitMs === 0) return { ok: true, ...state };
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

function parse<T>(schema: z.ZodType<T>, content: string): T {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new ZtunnelError('ERR_CULVERT_POD_REQUEST', `not JSON: ${messageOf(cause)}`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue === undefined || issue.path.length === 0 ? 'request' : issue.path.join('.');
  throw new ZtunnelError('ERR_CULVERT_POD_REQUEST', `${place}: ${issue?.message ?? 'invalid'}`);
}
