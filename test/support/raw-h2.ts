// A peer that writes HTTP/2 frames as it likes: what no HTTP/2 library would send.
import { once } from 'node:events';
import tls from 'node:tls';
import type { SocketAddress } from '../../src/mesh/address.ts';
import type { TestLeaf } from './certificates.ts';

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8 } as const;
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** `:status: 200`, from the static table. */
export const ok = Buffer.of(0x88);

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** One end of a connection, which says what it wants and sees what comes back. */
export class RawEnd {
  readonly socket: tls.TLSSocket;
  /** Resolves when the other side has ended or reset the connection. */
  readonly gone: Promise<void>;
  /** Of the other side; DATA is counted only. */
  readonly frames: Frame[] = [];
  dataBytes = 0;
  onFrame: (frame: Frame) => void = () => undefined;
  #gone = false;
  #unread = Buffer.alloc(0);
  #skip: number;

  /** `skip`: bytes that come before the first frame. */
  constructor(socket: tls.TLSSocket, skip = 0) {
    this.socket = socket;
    this.#skip = skip;
    this.gone = new Promise((resolve) => {
      const over = (): void => {
        this.#gone = true;
        resolve();
      };
      socket.once('close', over).once('end', over);
    });
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  get isGone(): boolean {
    return this.#gone;
  }

  write(block: Buffer): void {
    if (!this.#gone) this.socket.write(block);
  }

  /** Writes `block` as often as it takes for the other side to be gone, at most `times`. */
  async flood(block: Buffer, times: number): Promise<void> {
    for (let i = 0; i < times && !this.#gone; i += 1)
      if (!this.socket.write(block)) await Promise.race([this.#drained(), this.gone]);
  }

  /** The code of the GOAWAY that came, if any; NO_ERROR is not told. */
  get complaint(): number | undefined {
    const goaway = this.frames.findLast(
      ({ type, payload }) => type === frameTypes.goaway && payload.readUInt32BE(4) !== 0,
    );
    return goaway?.payload.readUInt32BE(4);
  }

  /** Not `once`, which would throw the reset that is expected here. */
  async #drained(): Promise<void> {
    await new Promise((resolve) => this.socket.once('drain', resolve));
  }

  #read(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    const skipped = Math.min(this.#skip, this.#unread.length);
    this.#skip -= skipped;
    let at = skipped;
    while (this.#unread.length - at >= 9) {
      const end = at + 9 + this.#unread.readUIntBE(at, 3);
      if (this.#unread.length < end) break;
      this.#take(this.#unread.subarray(at, end));
      at = end;
    }
    this.#unread = this.#unread.subarray(at);
  }

  #take(bytes: Buffer): void {
    const taken: Frame = {
      type: bytes.readUInt8(3),
      flags: bytes.readUInt8(4),
      stream: bytes.readUInt32BE(5),
      payload: Buffer.from(bytes.subarray(9)),
    };
    if (taken.type === frameTypes.data) this.dataBytes += taken.payload.length;
    else if (this.frames.length < 10_000) this.frames.push(taken);
    this.onFrame(taken);
  }
}

export interface RawPeerOptions {
  readonly localAddress?: string;
  /** Sent behind the preface; default is empty SETTINGS. Empty: nothing at all is sent. */
  readonly first?: Buffer;
}

export class RawPeer extends RawEnd {
  /** Connects, and sends the preface with empty SETTINGS. */
  static async dial(
    to: SocketAddress,
    leaf: Pick<TestLeaf, 'chainPem' | 'keyPem' | 'rootPem'>,
    options: RawPeerOptions = {},
  ): Promise<RawPeer> {
    const socket = tls.connect({
      host: to.ip,
      port: to.port,
      ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
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
    socket.write(options.first ?? Buffer.concat([preface, frame('settings', 0, 0)]));
    return peer;
  }

  /** CONNECT with an open body on `stream`, without any header compression. */
  connect(stream: number, authority: string, headers: readonly (readonly [string, string])[] = []): void {
    this.write(connectFrame(stream, authority, headers));
  }

  /** The status with which `stream` was answered, or the code of its reset, when there is one. */
  answer(stream: number): Promise<{ readonly status?: number; readonly reset?: number }> {
    return new Promise((resolve) => {
      const look = (seen: Frame): void => {
        if (seen.stream !== stream) return;
        if (seen.type === frameTypes.reset) resolve({ reset: seen.payload.readUInt32BE() });
        if (seen.type === frameTypes.headers) resolve({ status: statusOf(seen.payload) });
      };
      const before = this.onFrame;
      this.onFrame = (seen) => {
        before(seen);
        look(seen);
      };
      for (const seen of this.frames) look(seen);
      void this.gone.then(() => resolve({}));
    });
  }
}

/** Of a block whose first field is the status: indexed, or a literal of three digits. */
function statusOf(block: Buffer): number {
  const indexed: Readonly<Record<number, number>> = { 0x88: 200, 0x8c: 400, 0x8d: 404, 0x8e: 500 };
  const digits = /[1-5]\d\d/.exec(block.toString('latin1'))?.[0];
  return indexed[block.readUInt8(0)] ?? (digits !== undefined ? Number(digits) : huffmanStatus(block));
}

/** nghttp2 writes a status as Huffman code, in which each digit has five or six bits (RFC 7541 appendix B). */
function huffmanStatus(block: Buffer): number {
  const bits = [...block.subarray(2)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits: Readonly<Record<string, string>> = { '00000': '0', '00001': '1', '00010': '2' };
  let text = '';
  for (let at = 0; text.length < 3 && at + 5 <= bits.length;) {
    const short = digits[bits.slice(at, at + 5)];
    text += short ?? String(parseInt(bits.slice(at, at + 6), 2) - 0b011001 + 3);
    at += short === undefined ? 6 : 5;
  }
  return Number(text);
}

/** One HTTP/2 frame (RFC 9113 section 4.1). */
export function frame(
  type: keyof typeof frameTypes | number,
  bits: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(typeof type === 'number' ? type : frameTypes[type], 3);
  header.writeUInt8(bits, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** WINDOW_UPDATE that gives `increment` bytes of credit. */
export function windowUpdate(stream: number, increment: number): Buffer {
  return frame('windowUpdate', 0, stream, uint32(increment));
}

export function reset(stream: number, code: number): Buffer {
  return frame('reset', 0, stream, uint32(code));
}

/** SETTINGS entries: identifier and value. */
export function settings(...entries: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return frame('settings', 0, 0, payload);
}

export function connectFrame(
  stream: number,
  authority: string,
  headers: readonly (readonly [string, string])[] = [],
): Buffer {
  const block = Buffer.concat([
    literal(':method', 'CONNECT'),
    literal(':authority', authority),
    ...headers.map(([name, value]) => literal(name, value)),
  ]);
  return frame('headers', flags.endHeaders, stream, block);
}

/** A header field, literally; with `indexed` it goes into the dynamic table (RFC 7541 section 6.2). */
export function literal(name: string, value: string, indexed = false): Buffer {
  const text = (of: string): Buffer => {
    const bytes = Buffer.from(of, 'latin1');
    return Buffer.concat([prefixed(bytes.length, 7), bytes]);
  };
  return Buffer.concat([Buffer.of(indexed ? 0x40 : 0), text(name), text(value)]);
}

/** An integer with a prefix of `bits` (RFC 7541 section 5.1). */
function prefixed(value: number, bits: number): Buffer {
  const most = (1 << bits) - 1;
  if (value < most) return Buffer.of(value);
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.of(...bytes, rest);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function repeated(block: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => block));
}
