// Records and messages of TLS 1.3 that are legal, useless and dear. From both ends, where both may send them.
import assert from 'node:assert/strict';
import { contents, dialRecords, messages } from '../../support/tls-records.ts';
import type { RecordWriter } from '../../support/tls-records.ts';
import { preface, frame } from '../../support/raw-h2.ts';
import type { Attack, Scene } from '../attack.ts';
import { soon } from './ending.ts';

interface Flood {
  readonly name: string;
  readonly does: string;
  readonly limit: string;
  readonly counter: string;
  readonly reason: 'limit' | 'tls_failure';
  readonly selected?: true;
  readonly by: readonly ('client' | 'server')[];
  next(writer: RecordWriter): Buffer;
}

/** Credit of 256 bytes: no rate of HTTP/2 minds it. */
const quietFrame = frame('windowUpdate', 0, 0, Buffer.of(0, 0, 1, 0));
const both = ['client', 'server'] as const;

const floods: readonly Flood[] = [
  {
    name: 'key updates',
    does: 'asks for new keys without end',
    limit: '8 in a row without data; 64 at once, 1/s',
    counter: 'key_update_flood',
    reason: 'limit',
    selected: true,
    by: both,
    next: (writer) => writer.keyUpdate(messages.keyUpdateRequested),
  },
  {
    name: 'key updates between data',
    does: 'changes its keys after every frame',
    limit: '64 at once, 1/s',
    counter: 'key_update_flood',
    reason: 'limit',
    by: both,
    next: (writer) => Buffer.concat([writer.record(contents.data, quietFrame), writer.keyUpdate()]),
  },
  {
    name: 'empty records',
    does: 'sends records without content',
    limit: '32 in a row',
    counter: 'tls_error',
    reason: 'tls_failure',
    selected: true,
    by: both,
    next: (writer) => writer.record(contents.data, Buffer.alloc(0)),
  },
  {
    name: 'padding',
    does: 'sends records of 16 KB that are nothing but padding',
    limit: '32 in a row',
    counter: 'tls_error',
    reason: 'tls_failure',
    by: both,
    next: (writer) => writer.record(contents.data, Buffer.alloc(0), 16_000),
  },
  {
    name: 'renegotiation',
    does: 'begins another handshake in the tunnel',
    limit: 'none is allowed in TLS 1.3',
    counter: 'tls_error',
    reason: 'tls_failure',
    by: ['client'],
    next: (writer) => writer.record(contents.handshake, messages.clientHello),
  },
  {
    name: 'session tickets',
    does: 'hands out session tickets without end',
    limit: '8 in a row without data; 64 at once, 1/s; none is used',
    counter: 'key_update_flood',
    reason: 'limit',
    by: ['server'],
    next: (writer) => writer.record(contents.handshake, messages.newSessionTicket),
  },
  {
    name: 'warning alerts',
    does: 'sends alerts that mean nothing',
    limit: '5 in a row',
    counter: 'tls_error',
    reason: 'tls_failure',
    by: both,
    next: (writer) => writer.record(contents.alert, Buffer.of(1, 90)),
  },
  {
    name: 'forged record',
    does: 'sends a record whose tag is wrong',
    limit: 'none is allowed',
    counter: 'tls_error',
    reason: 'tls_failure',
    by: both,
    next: (writer) => {
      const record = writer.record(contents.data, quietFrame);
      record.writeUInt8(record.readUInt8(record.length - 1) ^ 1, record.length - 1);
      return record;
    },
  },
];

async function exhaust(writer: RecordWriter, flood: Flood): Promise<string> {
  writer.write(writer.record(contents.data, frame('settings', 0, 0)));
  // Up and in use: the tunnel has said that it is there.
  await soon(50);
  const sent = await writer.flood(() => flood.next(writer), 20_000);
  assert.ok(
    writer.isGone || (await Promise.race([writer.gone.then(() => true), soon(5000)])),
    'the tunnel is still there',
  );
  writer.destroy();
  return `tunnel closed, after at most ${sent}`;
}

async function fromClient(scene: Scene, flood: Flood): Promise<string> {
  const { chainPem, keyPem, rootPem } = scene.leaf;
  const writer = await dialRecords(
    { host: scene.hbone.ip, port: scene.hbone.port, localAddress: scene.source() },
    {
      cert: chainPem,
      key: keyPem,
      ca: rootPem,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      checkServerIdentity: () => undefined,
    },
  );
  writer.write(writer.record(contents.data, preface));
  return await exhaust(writer, flood);
}

async function fromServer(scene: Scene, flood: Flood): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  scene.hostile.records((writer) => void exhaust(writer, flood).then(resolve, reject));
  const victim = await scene.lure();
  const how = await promise;
  assert.notEqual(await victim.fate, 'end');
  return `${how}; its connection is reset`;
}

export const recordAttacks: readonly Attack[] = floods.flatMap((flood) =>
  flood.by.map((end): Attack => {
    const { name, does, limit, counter, reason } = flood;
    return {
      name: end === 'client' ? name : `${name}, by a server`,
      group: end === 'client' ? 'TLS records' : 'hostile servers',
      does,
      limit,
      counter,
      reason,
      ...(flood.selected === true && { selected: true }),
      run: (scene) => (end === 'client' ? fromClient(scene, flood) : fromServer(scene, flood)),
    };
  }),
);
