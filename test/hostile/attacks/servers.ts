// What a server that we dial can do beside floods: nothing, too late, too much, or always no.
import assert from 'node:assert/strict';
import { flags, frame, literal, ok, repeated, settings } from '../../support/raw-h2.ts';
import type { Attack, Scene } from '../attack.ts';
import { accept } from '../hostile-server.ts';
import { soon } from './ending.ts';

/** Lures `count` connections and says how they ended; none may be left open. */
async function fates(scene: Scene, count: number, write?: Buffer): Promise<string> {
  const victims = await Promise.all(Array.from({ length: count }, () => scene.lure()));
  if (write !== undefined) for (const victim of victims) victim.write(write);
  const ends = await Promise.all(victims.map(({ fate }) => Promise.race([fate, soon(12_000)])));
  assert.ok(!ends.includes(false), 'a connection is still open');
  const counted = Map.groupBy(ends, String);
  return [...counted].map(([fate, all]) => `${all.length} ${fate}`).join(', ');
}

function informational(stream: number): Buffer {
  return frame('headers', flags.endHeaders, stream, literal(':status', '103'));
}

export const serverAttacks: readonly Attack[] = [
  {
    name: 'accepts and says nothing',
    group: 'hostile servers',
    does: 'takes the connection and never answers the ClientHello',
    limit: 'closed after 5 s (`handshakeTimeout`)',
    counter: 'handshake_timeout',
    reason: 'tls_failure',
    selected: true,
    async run(scene) {
      scene.hostile.behave((socket) => socket.resume());
      return `${await fates(scene, 20)}, after ${scene.hostile.accepted} dials`;
    },
  },
  {
    name: 'no SETTINGS',
    group: 'hostile servers',
    does: 'proves who it is and then says nothing',
    limit: 'closed after 5 s (`prefaceTimeout`)',
    counter: 'preface_timeout',
    reason: 'h2_failure',
    async run(scene) {
      scene.hostile.behave((socket) => scene.hostile.secure(socket).resume());
      return await fates(scene, 20);
    },
  },
  {
    name: 'never answers',
    group: 'hostile servers',
    does: 'takes requests and answers none',
    limit: 'reset after 15 s (`connectResponseTimeout`)',
    async run(scene) {
      scene.hostile.http2(() => undefined);
      const before = (await scene.state()).events['closed connect_failed'] ?? 0;
      const how = await fates(scene, 20);
      const deadline = Date.now() + 5000;
      while (((await scene.state()).events['closed connect_failed'] ?? 0) < before + 20) {
        assert.ok(Date.now() < deadline, 'not every connection was told of');
        await soon(20);
      }
      return `${how} (connect_failed)`;
    },
  },
  {
    name: 'falls silent',
    group: 'hostile servers',
    does: 'accepts streams and then reads and answers nothing, PINGs neither',
    limit: 'closed after 20 s of silence (`pingTimeout`)',
    counter: 'ping_timeout',
    reason: 'tunnel_lost',
    async run(scene) {
      const streams = 5;
      let accepted = 0;
      scene.hostile.http2((end, stream) => {
        end.write(accept(stream));
        if (++accepted === streams) end.socket.pause();
      });
      return await fates(scene, streams);
    },
  },
  {
    name: 'refuses every stream',
    group: 'hostile servers',
    does: 'resets each request with REFUSED_STREAM, which asks for another try',
    limit: '6 tries per connection',
    counter: 'retried_streams',
    accessLog: true,
    async run(scene) {
      scene.hostile.http2((end, stream) => end.write(frame('reset', 0, stream, Buffer.of(0, 0, 0, 7))));
      return `${await fates(scene, 20)}, after ${scene.hostile.accepted} dials`;
    },
  },
  {
    name: 'GOAWAY at once',
    group: 'hostile servers',
    does: 'says GOAWAY to each tunnel as it comes up',
    limit: '6 tries per connection',
    counter: 'retried_streams',
    accessLog: true,
    async run(scene) {
      scene.hostile.http2(
        () => undefined,
        Buffer.concat([settings(), frame('goaway', 0, 0, Buffer.alloc(8))]),
      );
      return `${await fates(scene, 20)}, after ${scene.hostile.accepted} dials`;
    },
  },
  {
    name: 'no streams allowed',
    group: 'hostile servers',
    does: 'allows 0 streams per tunnel',
    limit: '6 tries per connection',
    counter: 'pool_waiting',
    async run(scene) {
      scene.hostile.http2(() => undefined, settings([3, 0]));
      return `${await fates(scene, 20)}, after ${scene.hostile.accepted} dials`;
    },
  },
  {
    name: 'no window',
    group: 'hostile servers',
    does: 'gives no credit to streams that have much to send',
    limit: 'what is not sent is not read: 0 bytes of ours per stream',
    async run(scene) {
      scene.hostile.http2((end, stream) => end.write(accept(stream)), settings([4, 0]));
      const victims = await Promise.all(Array.from({ length: 50 }, () => scene.lure()));
      for (const victim of victims) victim.write(Buffer.alloc(2 ** 20));
      await soon(1000);
      const { bufferedBytes } = (await scene.state()).stats;
      assert.ok(bufferedBytes < 2 ** 20, `${bufferedBytes} bytes held`);
      for (const victim of victims) victim.destroy();
      return `${bufferedBytes} bytes held for 50 connections`;
    },
  },
  {
    name: 'more than the window',
    group: 'hostile servers',
    does: 'sends far more than it was given credit for, to an application that does not read',
    limit: '64 KiB per stream, 256 KiB once it is open, 16 MiB per tunnel',
    counter: 'protocol_error',
    reason: 'h2_failure',
    async run(scene) {
      scene.hostile.http2((end, stream) => {
        end.write(accept(stream));
        void end.flood(repeated(frame('data', 0, stream, Buffer.alloc(16_384)), 64), 64);
      });
      const refused = async (): Promise<number> =>
        (await scene.state()).stats.counters['protocol_error'] ?? 0;
      const before = await refused();
      const victim = await scene.lure();
      victim.pause();
      const deadline = Date.now() + 8000;
      while ((await refused()) === before) {
        assert.ok(Date.now() < deadline, 'all of it was taken');
        await soon(20);
      }
      victim.resume();
      assert.notEqual(await Promise.race([victim.fate, soon(8000)]), false);
      return 'GOAWAY FLOW_CONTROL_ERROR, tunnel closed';
    },
  },
  {
    name: 'informational responses',
    group: 'hostile servers',
    does: 'answers 103 without end',
    limit: '1000 at once, 33/s',
    counter: 'odd_frame_flood',
    reason: 'limit',
    async run(scene) {
      scene.hostile.http2((end, stream) => void end.flood(repeated(informational(stream), 500), 200));
      return await fates(scene, 1);
    },
  },
  {
    name: 'answer after informational ones',
    group: 'hostile servers',
    does: 'answers 103 three times and then 200, as it may',
    limit: 'none: it is served',
    async run(scene) {
      scene.hostile.http2((end, stream) => {
        end.write(
          Buffer.concat([repeated(informational(stream), 3), frame('headers', flags.endHeaders, stream, ok)]),
        );
        end.write(frame('data', flags.endStream, stream, Buffer.from('hello')));
      });
      const victim = await scene.lure();
      assert.equal(await Promise.race([victim.fate, soon(4000)]), 'end');
      return 'served';
    },
  },
  {
    name: 'huge answer',
    group: 'hostile servers',
    does: 'answers with 100 KB of headers',
    limit: '16 KiB from servers',
    counter: 'header_list_too_large',
    async run(scene) {
      const fields = Buffer.concat(
        Array.from({ length: 15 }, (_, index) => literal(`x-${index}`, 'x'.repeat(1000))),
      );
      const block = Buffer.concat([
        ok,
        fields,
        literal('y', 'y'.repeat(400), true),
        Buffer.alloc(4000, 0xbe),
      ]);
      scene.hostile.http2((end, stream) =>
        end.write(frame('headers', flags.endHeaders, stream, block.subarray(0, 16_384))),
      );
      return await fates(scene, 3);
    },
  },
  {
    name: 'push',
    group: 'hostile servers',
    does: 'pushes streams that nobody asked for',
    limit: 'none is allowed',
    counter: 'protocol_error',
    reason: 'h2_failure',
    async run(scene) {
      const promised = Buffer.concat([
        Buffer.of(0, 0, 0, 2),
        Buffer.of(0x82, 0x84, 0x87),
        literal(':authority', 'a'),
      ]);
      scene.hostile.http2((end, stream) =>
        end.write(
          Buffer.concat([
            frame('settings', flags.ack, 0),
            frame('pushPromise', flags.endHeaders, stream, promised),
          ]),
        ),
      );
      return await fates(scene, 1);
    },
  },
  {
    name: 'never closes, by a server',
    group: 'hostile servers',
    does: 'keeps the socket when a tunnel is ended, and goes on sending',
    limit: '1 s after our close_notify',
    async run(scene) {
      const before = (await scene.state()).stats.tunnelsOutbound;
      scene.hostile.http2((end, stream) => {
        end.write(accept(stream));
        end.write(frame('data', flags.endStream, stream));
        void end.flood(repeated(frame(0xbb, 0, 0, Buffer.alloc(1000)), 10), 10_000);
      });
      const victim = await scene.lure();
      assert.notEqual(await Promise.race([victim.fate, soon(5000)]), false);
      victim.destroy();
      const deadline = Date.now() + 8000;
      while ((await scene.state()).stats.tunnelsOutbound > before) {
        assert.ok(Date.now() < deadline, 'the tunnel is still there');
        await soon(50);
      }
      return 'tunnel closed';
    },
  },
];
