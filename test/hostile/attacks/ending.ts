// How an attack begins, and what is seen at its end.
import assert from 'node:assert/strict';
import { RawPeer, flags, frame, frameTypes } from '../../support/raw-h2.ts';
import type { RawEnd } from '../../support/raw-h2.ts';
import type { Scene } from '../attack.ts';

/** A tunnel from an address of its own, with a certificate of the mesh; both sides have agreed on their settings. */
export async function dial(scene: Scene): Promise<RawPeer> {
  const peer = await RawPeer.dial(scene.hbone, scene.leaf, { localAddress: scene.source() });
  await new Promise<void>((resolve) => {
    peer.onFrame = ({ type, flags: bits }) => {
      if (type === frameTypes.settings && bits === 0) resolve();
    };
    void peer.gone.then(resolve);
  });
  peer.onFrame = () => undefined;
  peer.write(frame('settings', flags.ack, 0));
  return peer;
}

const codes: Readonly<Record<number, string>> = {
  1: 'PROTOCOL_ERROR',
  2: 'INTERNAL_ERROR',
  3: 'FLOW_CONTROL_ERROR',
  6: 'FRAME_SIZE_ERROR',
  9: 'COMPRESSION_ERROR',
  11: 'ENHANCE_YOUR_CALM',
};

/** What the attacker saw of the end of its tunnel. */
export function endOf(end: RawEnd): string {
  const code = end.complaint;
  return code === undefined ? 'tunnel closed' : `GOAWAY ${codes[code] ?? code}, tunnel closed`;
}

/** False after so many milliseconds. */
export function soon(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms).unref());
}

/** Waits for the end of the tunnel, which must come; says how. */
export async function gone(peer: RawPeer, ms = 8000): Promise<string> {
  assert.ok(
    peer.isGone || (await Promise.race([peer.gone.then(() => true), soon(ms)])),
    'the tunnel is still there',
  );
  return endOf(peer);
}
