// What can be asked for, and how: header lists, methods, authorities, and connections that are opened and left alone.
import assert from 'node:assert/strict';
import { connectFrame, flags, frame, literal, repeated } from '../../support/raw-h2.ts';
import type { Attack, Scene } from '../attack.ts';
import { dial, gone, soon } from './ending.ts';

const calm = 11;

/** A header block in as many frames as it takes, of at most `size` bytes each. */
function blockFrames(stream: number, block: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < block.length; at += size) {
    const last = at + size >= block.length;
    parts.push(
      frame(
        at === 0 ? 'headers' : 'continuation',
        last ? flags.endHeaders : 0,
        stream,
        block.subarray(at, at + size),
      ),
    );
  }
  return Buffer.concat(parts);
}

function request(scene: Scene): Buffer {
  return Buffer.concat([literal(':method', 'CONNECT'), literal(':authority', scene.application)]);
}

export const requestAttacks: readonly Attack[] = [
  {
    name: 'CONTINUATION flood',
    group: 'HTTP/2',
    does: 'continues a header block without end, a byte a frame',
    limit: '8 frames',
    counter: 'protocol_error',
    reason: 'h2_failure',
    selected: true,
    async run(scene) {
      const peer = await dial(scene);
      peer.write(frame('headers', 0, 1, request(scene)));
      await peer.flood(repeated(frame('continuation', 0, 1, Buffer.of(0x84)), 1000), 100);
      return await gone(peer);
    },
  },
  {
    name: 'header list too large',
    group: 'requests',
    does: 'sends a header list of 200 KB',
    limit: '64 KiB from clients (names, values and 32 bytes each), 16 KiB from servers',
    counter: 'header_list_too_large',
    async run(scene) {
      const peer = await dial(scene);
      const fields = Array.from({ length: 200 }, (_, index) => literal(`x-${index}`, 'x'.repeat(1000)));
      peer.write(blockFrames(1, Buffer.concat([request(scene), ...fields]), 200_000));
      assert.deepEqual(await peer.answer(1), { reset: calm });
      peer.socket.destroy();
      return 'the stream is reset: ENHANCE_YOUR_CALM';
    },
  },
  {
    name: 'repeated headers',
    group: 'requests',
    does: 'repeats one short header 5000 times',
    limit: '64 KiB: each field counts 32 bytes on top',
    counter: 'header_list_too_large',
    async run(scene) {
      const peer = await dial(scene);
      peer.write(blockFrames(1, Buffer.concat([request(scene), repeated(literal('a', 'b'), 5000)]), 100_000));
      assert.deepEqual(await peer.answer(1), { reset: calm });
      peer.socket.destroy();
      return 'the stream is reset: ENHANCE_YOUR_CALM';
    },
  },
  {
    name: 'header compression bomb',
    group: 'requests',
    does: 'refers a million times, by a byte each, to a header of 4000 bytes, in each of 8 tunnels',
    limit: '64 KiB of header list; what follows is neither checked nor copied',
    counter: 'header_list_too_large',
    selected: true,
    async run(scene) {
      const bomb = Buffer.concat([
        request(scene),
        literal('x', 'x'.repeat(4000), true),
        Buffer.alloc(1_000_000, 0xbe),
      ]);
      const peers = await Promise.all(Array.from({ length: 8 }, () => dial(scene)));
      const answers = peers.map((peer) => {
        peer.write(blockFrames(1, bomb, 1_048_576));
        return Promise.race([peer.answer(1), soon(8000)]);
      });
      for (const answer of await Promise.all(answers)) assert.deepEqual(answer, { reset: calm });
      for (const peer of peers) peer.socket.destroy();
      return 'the streams are reset: ENHANCE_YOUR_CALM';
    },
  },
  {
    name: 'bombs without end',
    group: 'requests',
    does: 'sends header lists that are too large, one after the other',
    limit: '100 bad requests at once, 10/s',
    counter: 'bad_request_flood',
    reason: 'limit',
    async run(scene) {
      const peer = await dial(scene);
      const first = Buffer.concat([
        request(scene),
        literal('x', 'x'.repeat(4000), true),
        Buffer.alloc(50, 0xbe),
      ]);
      peer.write(blockFrames(1, first, 100_000));
      const next = Buffer.concat([request(scene), Buffer.alloc(50, 0xbe)]);
      for (let stream = 3; stream < 2003 && !peer.isGone; stream += 2)
        await peer.flood(blockFrames(stream, next, 100_000), 1);
      return await gone(peer);
    },
  },
  {
    name: 'methods that are not CONNECT',
    group: 'requests',
    does: 'asks with GET, again and again',
    limit: '100 bad requests at once, 10/s; each is answered 400',
    counter: 'bad_request_flood',
    reason: 'limit',
    async run(scene) {
      const peer = await dial(scene);
      const get = Buffer.concat([Buffer.of(0x82, 0x84, 0x87), literal(':authority', scene.application)]);
      for (let stream = 1; stream < 4001 && !peer.isGone; stream += 2)
        await peer.flood(blockFrames(stream, get, 1000), 1);
      return await gone(peer);
    },
  },
  {
    name: 'junk authorities',
    group: 'requests',
    does: 'asks for what cannot be: names, ports, brackets, bytes, 60 KB of them',
    limit: 'an address and port of the pod itself; 1000 refusals at once, 100/s per tunnel',
    async run(scene) {
      const peer = await dial(scene);
      const port = scene.application.split(':')[1] ?? '';
      const junk = [
        '',
        ':',
        ':80',
        'a',
        'a:b',
        '0:0',
        '127.0.0.1:1',
        '[::1]:1',
        '[::1',
        '[]:1',
        '1.2.3.4:99999',
      ]
        .concat([
          '10.77.1.2',
          '10.77.1.2:',
          '10.77.1.2:0',
          `10.77.1.2:${port}0000`,
          `010.077.001.002:${port}`,
        ])
        .concat([
          `0x0a4d0102:${port}`,
          `172818690:${port}`,
          `u@10.77.1.2:${port}`,
          `10.77.1.2:${port}/x`,
          `10.77.1.2:+${port}`,
        ])
        .concat([
          `10.77.1.2: ${port}`,
          `[::ffff:10.77.1.3]:${port}`,
          '\xff\xfe:80',
          `${'a'.repeat(60_000)}:80`,
          'x'.repeat(60_000),
        ]);
      for (const [index, authority] of junk.entries()) {
        const stream = 2 * index + 1;
        peer.connect(stream, authority);
        const answer = await Promise.race([peer.answer(stream), soon(4000)]);
        assert.ok(
          answer !== false && ((answer.status ?? 0) >= 400 || answer.reset !== undefined),
          `${authority.slice(0, 40)}: ${JSON.stringify(answer)}`,
        );
      }
      peer.socket.destroy();
      return `${junk.length} of ${junk.length} refused with 4xx, 5xx or a reset`;
    },
  },
  {
    name: 'junk headers',
    group: 'requests',
    does: 'sends baggage, forwarded and traceparent of every kind of junk with a request that is allowed',
    limit: 'what cannot be read is left out; 4096 bytes of each are looked at',
    async run(scene) {
      const peer = await dial(scene);
      const junk = [
        '',
        '=',
        ',,,',
        '='.repeat(30_000),
        'k8s.namespace.name='.repeat(2000),
        '%',
        '%zz',
        '%ff%fe',
        '%00'.repeat(5000),
      ]
        .concat([
          'for=',
          'for="',
          'for="[',
          'for="[::1',
          'for=_'.repeat(3000),
          'for=1.2.3.4;for=5.6.7.8',
          '\xff\xff',
          ';'.repeat(40_000),
        ])
        .concat([
          '00-',
          '00--',
          `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`,
          `ff-${'f'.repeat(32)}-${'f'.repeat(16)}-ff`,
          '-'.repeat(50_000),
        ]);
      let stream = 1;
      for (const value of junk)
        for (const name of ['baggage', 'forwarded', 'traceparent']) {
          peer.connect(stream, scene.application, [
            [name, value],
            [name, value.slice(0, 50)],
          ]);
          const answer = await Promise.race([peer.answer(stream), soon(4000)]);
          assert.ok(
            answer !== false && (answer.status === 200 || answer.reset !== undefined),
            `${name}: ${value.slice(0, 40)}: ${JSON.stringify(answer)}`,
          );
          peer.write(frame('data', flags.endStream, stream, Buffer.from('x')));
          stream += 2;
        }
      peer.socket.destroy();
      return 'served; the junk is left out';
    },
  },
  {
    name: 'refused again and again',
    group: 'requests',
    does: 'asks 20000 times for an address that is not served',
    limit: '1000 refusals at once, 100/s per tunnel; beyond it REFUSED_STREAM without a decision',
    counter: 'refused_requests',
    async run(scene) {
      const peer = await dial(scene);
      let stream = 1;
      for (let i = 0; i < scene.times(200); i += 1) {
        const burst: Buffer[] = [];
        const last = stream + 198;
        for (; stream <= last; stream += 2) burst.push(connectFrame(stream, '203.0.113.1:80'));
        await peer.flood(Buffer.concat(burst), 1);
        await Promise.race([peer.answer(last), peer.gone]);
        peer.frames.length = 0;
      }
      peer.socket.destroy();
      return 'refused: 400 by decision, then REFUSED_STREAM';
    },
  },
  {
    name: 'too many streams',
    group: 'requests',
    does: 'opens 1000 streams at once and sends nothing in them',
    limit: '200 streams per tunnel, 200 of them undecided',
    counter: 'protocol_error',
    reason: 'h2_failure',
    async run(scene) {
      const peer = await dial(scene);
      for (let stream = 1; stream < 2001; stream += 2) peer.connect(stream, scene.application);
      return await gone(peer);
    },
  },
];
