// A peer that writes HTTP/2 frames as it likes: what no HTTP/2 library would send.
import { once } from 'node:events';
import tls from 'node:tls';
import type { SocketAddress } from '../../src/mesh/address.ts';
import type { TestLeaf } from './certificates.ts';

export const frameTypes = { data: 0, headers: 1, settings: 4, windowUpdate: 8 } as const;
const endHeaders = 4;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class RawPeer {
  readonly socket: tls.TLSSocket;
  /** Resolves when the other side has ended or reset the connection. */
  readonly gone: Promise<void>;
  #gone = false;

  private constructor(socket: tls.TLSSocket) {
    this.socket = socket;
    this.gone = new Promise((resolve) => {
      socket.once('close', () => {
        this.#gone = true;
        resolve();
      });
    });
    socket.on('error', () => undefined).resume();
  }

  /** Connects, and sends the preface with empty SETTINGS. */
  static async dial(to: SocketAddress, leaf: TestLeaf): Promise<RawPeer> {
    const socket = tls.connect({
      host: to.ip,
      port: to.port,
      cert: leaf.chainPem,
      key: leaf.keyPem,
      ca: leaf.rootPem,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      servername: '',
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    const peer = new RawPeer(socket);
    socket.write(Buffer.concat([preface, frame('settings', 0, 0, Buffer.alloc(0))]));
    return peer;
  }

  /** CONNECT with an open body on `stream`, without any header compression. */
  connect(stream: number, authority: string): void {
    const literal = (index: number, value: string): Buffer =>
      Buffer.concat([Buffer.from([index, value.length]), Buffer.from(value)]);
    const block = Buffer.concat([literal(2, 'CONNECT'), literal(1, authority)]);
    this.socket.write(frame('headers', endHeaders, stream, block));
  }

  /** Writes `block` as often as it takes for the other side to be gone, at most `times`. */
  async flood(block: Buffer, times: number): Promise<void> {
    for (let i = 0; i < times && !this.#gone; i += 1)
      if (!this.socket.write(block)) await Promise.race([this.#drained(), this.gone]);
  }

  /** Not `once`, which would throw the reset that is expected here. */
  async #drained(): Promise<void> {
    await new Promise((resolve) => this.socket.once('drain', resolve));
  }
}

/** One HTTP/2 frame (RFC 9113 section 4.1). */
export function frame(type: keyof typeof frameTypes, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(frameTypes[type], 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** WINDOW_UPDATE that gives `increment` bytes of credit. */
export function windowUpdate(stream: number, increment: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(increment);
  return frame('windowUpdate', 0, stream, payload);
}
