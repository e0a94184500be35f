// Frames that are legal one by one. Each is sent from both ends: by a client that dialled us, by a server that we dialled.
import assert from 'node:assert/strict';
import { flags, frame, literal, repeated, reset, settings, windowUpdate } from '../../support/raw-h2.ts';
import type { RawEnd } from '../../support/raw-h2.ts';
import type { Attack, Scene } from '../attack.ts';
import { accept } from '../hostile-server.ts';
import { dial, endOf, soon } from './ending.ts';

interface Flood {
  readonly name: string;
  readonly does: string;
  readonly limit: string;
  readonly counter: string;
  readonly reason: 'limit' | 'h2_failure';
  readonly selected?: true;
  /** Opens a stream first. */
  readonly inStream?: true;
  /** Written again and again until the tunnel ends, at most 64 MB. */
  block(stream: number, by: 'client' | 'server'): Buffer;
}

/** Legal frames, without end: all of these must cost the tunnel. */
const floods: readonly Flood[] = [
  {
    name: 'SETTINGS flood',
    does: 'sends empty SETTINGS without end',
    limit: '100 at once, 10/s',
    counter: 'settings_flood',
    reason: 'limit',
    block: () => frame('settings', 0, 0),
  },
  {
    name: 'window game',
    does: 'opens and shuts the windows of all streams by SETTINGS',
    limit: 'as SETTINGS; windows are looked at once per turn',
    counter: 'settings_flood',
    reason: 'limit',
    inStream: true,
    block: () => Buffer.concat([settings([4, 0]), settings([4, 0x7fffffff])]),
  },
  {
    name: 'PING flood',
    does: 'sends PING without end',
    limit: '100 at once, 10/s',
    counter: 'ping_flood',
    reason: 'limit',
    selected: true,
    block: () => frame('ping', 0, 0, Buffer.alloc(8)),
  },
  {
    name: 'PRIORITY flood',
    does: 'sends PRIORITY without end',
    limit: '1000 at once, 33/s, together with unknown types and GOAWAY',
    counter: 'odd_frame_flood',
    reason: 'limit',
    block: () => frame('priority', 0, 1, Buffer.alloc(5)),
  },
  {
    name: 'unknown frames',
    does: 'sends frames of a type that does not exist',
    limit: '1000 at once, 33/s',
    counter: 'odd_frame_flood',
    reason: 'limit',
    block: () => frame(0xbb, 0, 0, Buffer.alloc(4)),
  },
  {
    name: 'GOAWAY flood',
    does: 'says GOAWAY again and again',
    limit: '1000 at once, 33/s',
    counter: 'odd_frame_flood',
    reason: 'limit',
    inStream: true,
    // The last id is one of the receiver's own: all that is open stays open.
    block: (_, by) =>
      frame('goaway', 0, 0, Buffer.of(127, 255, 255, by === 'client' ? 254 : 255, 0, 0, 0, 0)),
  },
  {
    name: 'WINDOW_UPDATE flood',
    does: 'gives credit one byte at a time',
    limit: '2000/s that give less than 256 bytes',
    counter: 'window_update_flood',
    reason: 'limit',
    block: () => windowUpdate(0, 1),
  },
  {
    name: 'window overflow',
    does: 'gives more credit than a window can hold',
    limit: '2^31 - 1 (RFC 9113)',
    counter: 'protocol_error',
    reason: 'h2_failure',
    block: () => windowUpdate(0, 0x7fffffff),
  },
  {
    name: 'empty DATA',
    does: 'sends DATA of no bytes',
    limit: '1000 at once, 33/s',
    counter: 'empty_data_flood',
    reason: 'limit',
    selected: true,
    inStream: true,
    block: (stream) => frame('data', 0, stream),
  },
  {
    name: 'padded DATA',
    does: 'sends DATA that is nothing but padding',
    limit: 'as empty DATA: padding is not payload',
    counter: 'empty_data_flood',
    reason: 'limit',
    inStream: true,
    block: (stream) => frame('data', flags.padded, stream, Buffer.concat([Buffer.of(99), Buffer.alloc(99)])),
  },
  {
    name: 'tiny DATA',
    does: 'sends DATA of one byte',
    limit: '20000/s of less than 64 bytes',
    counter: 'tiny_data_flood',
    reason: 'limit',
    inStream: true,
    block: (stream) => frame('data', 0, stream, Buffer.of(1)),
  },
  {
    name: 'huge SETTINGS',
    does: 'puts 1000 entries into one SETTINGS',
    limit: '32 entries',
    counter: 'protocol_error',
    reason: 'h2_failure',
    block: () => settings(...Array.from({ length: 1000 }, (_, index) => [0x1000 + index, 1] as const)),
  },
  {
    name: 'unused stream',
    does: 'sends DATA on a stream that was never opened',
    limit: 'none is allowed',
    counter: 'protocol_error',
    reason: 'h2_failure',
    block: () => frame('data', 0, 0x10001, Buffer.alloc(100)),
  },
  {
    name: 'bad padding',
    does: 'claims more padding than there is frame',
    limit: 'none is allowed',
    counter: 'protocol_error',
    reason: 'h2_failure',
    inStream: true,
    block: (stream) => frame('data', flags.padded, stream, Buffer.of(200, 1, 2)),
  },
];

/** Writes until the other side has had enough. */
async function exhaust(end: RawEnd, block: Buffer): Promise<string> {
  const size = Math.max(1, Math.floor(65_536 / block.length));
  await end.flood(repeated(block, size), 1000);
  assert.ok(
    end.isGone || (await Promise.race([end.gone.then(() => true), soon(5000)])),
    'the tunnel is still there',
  );
  return endOf(end);
}

function fromClient(flood: Flood): Attack {
  return {
    ...common(flood),
    group: 'HTTP/2',
    async run(scene) {
      const peer = await dial(scene);
      if (flood.inStream === true) {
        peer.connect(1, scene.application);
        assert.equal((await peer.answer(1)).status, 200);
      }
      return await exhaust(peer, flood.block(1, 'client'));
    },
  };
}

function fromServer(flood: Flood): Attack {
  return {
    ...common(flood),
    name: `${flood.name}, by a server`,
    group: 'hostile servers',
    async run(scene) {
      const flooded = Promise.withResolvers<string>();
      scene.hostile.http2((end, stream) => {
        end.write(accept(stream));
        exhaust(end, flood.block(stream, 'server')).then(flooded.resolve, flooded.reject);
      });
      const victim = await scene.lure();
      const how = await flooded.promise;
      assert.notEqual(await victim.fate, 'end');
      return `${how}; its connection is reset`;
    },
  };
}

function common(flood: Flood): Pick<Attack, 'name' | 'does' | 'limit' | 'counter' | 'reason' | 'selected'> {
  const { name, does, limit, counter, reason } = flood;
  return { name, does, limit, counter, reason, ...(flood.selected === true && { selected: true }) };
}

const resets: readonly Attack[] = [
  {
    name: 'rapid reset',
    group: 'HTTP/2',
    does: 'opens streams and resets each at once',
    limit: '1000 resets before the answer at once, 33/s; any 10000, 1000/s; 200 undecided per tunnel',
    counter: 'reset_flood',
    reason: 'limit',
    selected: true,
    async run(scene) {
      const peer = await dial(scene);
      let stream = 1;
      for (let i = 0; i < 400 && !peer.isGone; i += 1) {
        const burst: Buffer[] = [];
        for (let n = 0; n < 100; n += 1, stream += 2) burst.push(connectOf(scene, stream), reset(stream, 8));
        await peer.flood(Buffer.concat(burst), 1);
      }
      assert.ok(await Promise.race([peer.gone.then(() => true), soon(5000)]));
      return endOf(peer);
    },
  },
  {
    name: 'resets of what is over',
    group: 'hostile servers',
    does: 'resets the same stream again and again',
    limit: '10000 at once, 1000/s',
    counter: 'reset_flood',
    reason: 'limit',
    async run(scene) {
      const flooded = Promise.withResolvers<string>();
      scene.hostile.http2((end, stream) => {
        exhaust(end, reset(stream, 8)).then(flooded.resolve, flooded.reject);
      });
      const victim = await scene.lure();
      assert.notEqual(await victim.fate, 'end');
      return await flooded.promise;
    },
  },
];

function connectOf(scene: Scene, stream: number): Buffer {
  const block = Buffer.concat([literal(':method', 'CONNECT'), literal(':authority', scene.application)]);
  return frame('headers', flags.endHeaders, stream, block);
}

const again: Attack = {
  name: 'floods, again and again',
  group: 'HTTP/2',
  does: 'floods in 8 tunnels at once for 2 s, and dials anew whenever one is closed',
  limit: 'all of the above, and 64 handshakes of an address',
  counter: 'ping_flood',
  reason: 'limit',
  async run(scene) {
    const until = Date.now() + 2000;
    let tunnels = 0;
    const one = async (index: number): Promise<void> => {
      for (let next = index; Date.now() < until; next += 1) {
        const flood = floods[next % floods.length];
        const peer = await dial(scene);
        tunnels += 1;
        peer.connect(1, scene.application);
        if (flood !== undefined) await exhaust(peer, flood.block(1, 'client'));
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, index) => one(index)));
    return `${tunnels} of ${tunnels} tunnels closed`;
  },
};

const both: readonly Attack[] = floods.flatMap((flood) => [fromClient(flood), fromServer(flood)]);

export const http2Attacks: readonly Attack[] = [...both, ...resets, again];
