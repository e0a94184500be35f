// Peers that take what they are given and keep it: tunnels, memory, and the patience of whoever waits for them.
import assert from 'node:assert/strict';
import { RawPeer, flags, frame, frameTypes, windowUpdate } from '../../support/raw-h2.ts';
import { dialHbone } from '../../support/hbone-peer.ts';
import type { HboneClient } from '../../support/hbone-peer.ts';
import type { Attack } from '../attack.ts';
import { dial, gone, soon } from './ending.ts';

export const holdingAttacks: readonly Attack[] = [
  {
    name: 'never reads',
    group: 'requests',
    does: 'has 20 applications send for ever and reads nothing',
    limit: '64 KiB of output per tunnel; closed after 20 s without progress (`pingTimeout`)',
    counter: 'unread_output',
    reason: 'limit',
    async run(scene) {
      const peer = await dial(scene);
      for (let stream = 1; stream < 41; stream += 2) {
        peer.connect(stream, scene.application);
        assert.equal((await peer.answer(stream)).status, 200);
        peer.write(windowUpdate(stream, 2 ** 30));
      }
      peer.write(windowUpdate(0, 2 ** 30));
      peer.socket.pause();
      for (let stream = 1; stream < 41; stream += 2)
        peer.write(frame('data', 0, stream, Buffer.from('flood')));
      const before = (await scene.state()).stats.counters['unread_output'] ?? 0;
      const deadline = Date.now() + 15_000;
      while (((await scene.state()).stats.counters['unread_output'] ?? 0) === before) {
        assert.ok(Date.now() < deadline, 'the tunnel is still there');
        // Not silent: it lives, and takes nothing.
        peer.write(frame('ping', 0, 0, Buffer.alloc(8)));
        await soon(200);
      }
      peer.socket.destroy();
      return 'tunnel closed';
    },
  },
  {
    name: 'never closes',
    group: 'requests',
    does: 'is told GOAWAY since a certificate was renewed, and keeps its empty tunnel',
    tunnelsLeft: 2,
    limit: 'closed by us as soon as GOAWAY is out and no stream is open',
    async run(scene) {
      const peer = await dial(scene);
      peer.connect(1, scene.application);
      assert.equal((await peer.answer(1)).status, 200);
      await scene.renew();
      // Answers the PING, so that GOAWAY comes with the last id.
      while (peer.frames.filter(({ type }) => type === frameTypes.goaway).length < 2)
        await Promise.race([soon(20), peer.gone]);
      peer.write(frame('data', flags.endStream, 1, Buffer.from('x')));
      return await gone(peer, 12_000);
    },
  },
  {
    name: 'stalled streams',
    group: 'requests',
    does: 'fills 8 tunnels with data for applications that read nothing, until the memory for it is spent',
    limit:
      '128 MiB for the node (`bufferBytes`, here 16); then only tunnels that hold 64 KiB of it are not read; streams stalled for 60 s are reset',
    counter: 'stalled_stream_reset',
    selected: true,
    megabytesMax: 64,
    async run(scene) {
      const { chainPem, keyPem, rootPem } = scene.leaf;
      const dialOne = (): Promise<HboneClient> =>
        dialHbone(
          { host: scene.hbone.ip, port: scene.hbone.port, localAddress: scene.source() },
          { certificateChain: chainPem, privateKey: keyPem, roots: rootPem },
          { maxSessionMemory: 1000 },
        );
      const peers = await Promise.all(Array.from({ length: 8 }, dialOne));
      const filler = Buffer.alloc(2 ** 20);
      for (const peer of peers)
        for (let i = 0; i < 20; i += 1)
          void peer.connect(scene.application).then(({ stream }) => {
            stream.write('stall');
            stream.write(filler);
          });
      const before = (await scene.state()).stats.counters['stalled_stream_reset'] ?? 0;
      const deadline = Date.now() + 15_000;
      for (;;) {
        const { counters } = (await scene.state()).stats;
        if ((counters['stalled_stream_reset'] ?? 0) > before && (counters['buffer_bytes'] ?? 0) > 0) break;
        assert.ok(Date.now() < deadline, 'no stream was reset');
        await soon(50);
      }
      // A newcomer is served while memory is spent.
      const innocent = await dial(scene);
      innocent.connect(1, scene.application);
      assert.equal((await innocent.answer(1)).status, 200);
      for (const peer of peers) peer.close();
      innocent.socket.destroy();
      return 'tunnels that hold memory wait; the largest stalled streams are reset; a newcomer is served';
    },
  },
  {
    name: 'tunnels without number',
    group: 'requests',
    does: 'opens 200 tunnels from one address and keeps them',
    limit: '64 tunnels per address, 1024 per IPv6 /64, 8192 in all',
    counter: 'tunnels_per_source',
    async run(scene) {
      const localAddress = scene.source();
      const peers: RawPeer[] = [];
      let refused = 0;
      for (let i = 0; i < scene.times(200); i += 20)
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            try {
              peers.push(await RawPeer.dial(scene.hbone, scene.leaf, { localAddress }));
            } catch {
              refused += 1;
            }
          }),
        );
      for (const peer of peers) peer.socket.destroy();
      assert.ok(peers.length <= 64 || refused > 0);
      return `${refused} of ${peers.length + refused} are reset when they connect`;
    },
  },
];
