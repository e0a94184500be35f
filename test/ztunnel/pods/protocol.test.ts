import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ZtunnelError } from '../../../src/ztunnel/errors.ts';
import type { PodAnnouncement, PodSession } from '../../../src/ztunnel/pods/pod-source.ts';
import { answerLine, parsePodFile } from '../../../src/ztunnel/pods/protocol.ts';
import {
  anyText,
  brokenText,
  check,
  checkAsync,
  propertyTimeoutMs,
  thrownBy,
} from '../../support/properties.ts';

/** A session that writes down what it was told. */
function recorder(): { session: PodSession; said: unknown[] } {
  const said: unknown[] = [];
  const state = { phase: 'running', detail: '' } as const;
  const session: PodSession = {
    add: (pod) => (said.push(['add', pod]), state),
    keep: (uid) => void said.push(['keep', uid]),
    remove: (uid) => void said.push(['delete', uid]),
    snapshot: () => void said.push(['snapshot']),
    settled: () => Promise.resolve(state),
  };
  return { session, said };
}

const uid = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,20}$/);
const name = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const pod: fc.Arbitrary<PodAnnouncement> = fc.record(
  { uid, namespace: name, name, netns: name.map((text) => `/run/netns/${text}`) },
  { noNullPrototype: true },
);
const request = fc.oneof(
  fc.tuple(pod, fc.nat(60_000)).map(([fields, waitMs]) => ({ op: 'add', ...fields, waitMs })),
  fc.tuple(fc.constantFrom('keep', 'delete'), uid).map(([op, each]) => ({ op, uid: each })),
  fc.constant({ op: 'snapshot' }),
);

describe('a line of the pod agent’s protocol', () => {
  it('does what it says', async () => {
    await checkAsync(
      fc.asyncProperty(pod, fc.nat(60_000), async (each, waitMs) => {
        const { session, said } = recorder();
        const answer = await answerLine(session, JSON.stringify({ op: 'add', ...each, waitMs }));
        assert.equal(answer.ok, true);
        assert.deepEqual(said, [['add', each]]);
      }),
    );
  });

  it('that is broken is answered with what is wrong, and nothing is done', async () => {
    const written = request.map((each) => JSON.stringify(each));
    await checkAsync(
      fc.asyncProperty(fc.oneof(brokenText(written), anyText, fc.json()), async (line) => {
        const { session, said } = recorder();
        const answer = await answerLine(session, line);
        assert.equal(said.length, answer.ok ? 1 : 0);
        if (!answer.ok) assert.equal(answer.code, 'ERR_CULVERT_POD_REQUEST');
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());

  it('is no way to an object’s prototype, nor too deep', async () => {
    for (const line of [
      '{"op":"snapshot","__proto__":{"uid":"u"}}',
      '{"op":"delete","__proto__":{"uid":"u"}}',
      '{"op":"constructor"}',
      `{"op":${'['.repeat(8_000)}${']'.repeat(8_000)}}`,
    ]) {
      const { session, said } = recorder();
      assert.equal((await answerLine(session, line)).ok, false, line.slice(0, 60));
      assert.deepEqual(said, []);
    }
  });
});

describe('a pod’s file', () => {
  it('is read as it was written, or refused with its field', () => {
    const written = pod.map((each) => JSON.stringify(each));
    check(fc.property(pod, (each) => assert.deepEqual(parsePodFile(JSON.stringify(each)), each)));
    check(
      fc.property(fc.oneof(brokenText(written), anyText), (text) => {
        const error = thrownBy(() => parsePodFile(text));
        if (error === undefined) return;
        assert.ok(error instanceof ZtunnelError, String(error));
        assert.match(error.message, /: ./);
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());
});
