// TLS 1.3 records written by hand on a connection that OpenSSL has set up: what no TLS library would send. The keys are
// the ones that Node tells for debugging.
import { createCipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

export const contents = { changeCipherSpec: 20, alert: 21, handshake: 22, data: 23 } as const;
/** RFC 8446 section 4.6. */
export const messages = {
  clientHello: Buffer.of(1, 0, 0, 4, 3, 3, 0, 0),
  keyUpdate: Buffer.of(24, 0, 0, 1, 0),
  keyUpdateRequested: Buffer.of(24, 0, 0, 1, 1),
  /** A lifetime of an hour, no nonce, a ticket of 32 bytes, no extension. */
  newSessionTicket: Buffer.concat([
    Buffer.of(4, 0, 0, 45, 0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 32),
    Buffer.alloc(32, 7),
    Buffer.of(0, 0),
  ]),
} as const;

/** The sending half of one end; see `recordsOf`. */
export class RecordWriter {
  readonly #socket: net.Socket;
  readonly #hash: string;
  readonly #keyBytes: number;
  #secret: Buffer;
  #key: Buffer = Buffer.alloc(0);
  #iv: Buffer = Buffer.alloc(0);
  #sequence: bigint;
  #gone = false;
  readonly gone: Promise<void>;

  constructor(socket: net.Socket, secret: Buffer, sequence: number) {
    this.#socket = socket;
    this.#hash = secret.length === 48 ? 'sha384' : 'sha256';
    this.#keyBytes = secret.length === 48 ? 32 : 16;
    this.#secret = secret;
    this.#sequence = BigInt(sequence);
    this.#derive();
    this.gone = new Promise((resolve) => {
      const over = (): void => {
        this.#gone = true;
        resolve();
      };
      socket.once('close', over).once('end', over);
    });
  }

  get isGone(): boolean {
    return this.#gone;
  }

  /** One record: content, its type, and so many zeros (RFC 8446 section 5.2). */
  record(type: number, content: Buffer, padding = 0): Buffer {
    const plain = Buffer.concat([content, Buffer.of(type), Buffer.alloc(padding)]);
    const header = Buffer.of(23, 3, 3, 0, 0);
    header.writeUInt16BE(plain.length + 16, 3);
    const nonce = Buffer.from(this.#iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.#sequence, 4);
    this.#sequence += 1n;
    const cipher = createCipheriv(this.#keyBytes === 32 ? 'aes-256-gcm' : 'aes-128-gcm', this.#key, nonce);
    cipher.setAAD(header);
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** A KeyUpdate, after which the next keys are in use. */
  keyUpdate(message: Buffer = messages.keyUpdate): Buffer {
    const bytes = this.record(contents.handshake, message);
    this.#secret = expand(this.#hash, this.#secret, 'traffic upd', this.#secret.length);
    this.#sequence = 0n;
    this.#derive();
    return bytes;
  }

  write(bytes: Buffer): void {
    if (!this.#gone) this.#socket.write(bytes);
  }

  /** Writes what `next` makes until the other side is gone, at most `times`; resolves with how many it were. */
  async flood(next: () => Buffer, times: number): Promise<number> {
    for (let i = 0; i < times; i += 1) {
      if (this.#gone) return i;
      if (!this.#socket.write(next()))
        await Promise.race([new Promise((resolve) => this.#socket.once('drain', resolve)), this.gone]);
    }
    return times;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #derive(): void {
    this.#key = expand(this.#hash, this.#secret, 'key', this.#keyBytes);
    this.#iv = expand(this.#hash, this.#secret, 'iv', 12);
  }
}

/** HKDF-Expand-Label without a context, for at most one hash length (RFC 8446 section 7.1). */
function expand(hash: string, secret: Buffer, label: string, length: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, length, full.length), full, Buffer.of(0, 1)]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}

/** The TCP socket as a stream that TLS may be put on, while the socket itself stays writable by hand. */
export function wireOf(socket: net.Socket): Duplex {
  const wire = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      socket.write(chunk);
      done();
    },
  });
  socket.on('data', (chunk: Buffer) => void wire.push(chunk));
  socket.on('end', () => void wire.push(null));
  socket.on('error', () => undefined);
  socket.on('close', () => wire.destroy());
  return wire;
}

/** Connects and hands over after the handshake: nothing else has been sent with the connection's keys. */
export async function dialRecords(
  to: { readonly host: string; readonly port: number; readonly localAddress?: string },
  options: tls.ConnectionOptions,
): Promise<RecordWriter> {
  const socket = net.connect({ ...to, noDelay: true });
  const secure = tls.connect({ ...options, socket: wireOf(socket) });
  secure.on('error', () => undefined);
  const secret = keyOf(secure, 'CLIENT_TRAFFIC_SECRET_0');
  await once(secure, 'secureConnect');
  return new RecordWriter(socket, await secret, 0);
}

/** The sending half of a server's end, once the handshake is done: two tickets went before. */
export async function serveRecords(socket: net.Socket, secure: tls.TLSSocket): Promise<RecordWriter> {
  const secret = keyOf(secure, 'SERVER_TRAFFIC_SECRET_0');
  await once(secure, 'secure');
  return new RecordWriter(socket, await secret, 2);
}

function keyOf(secure: tls.TLSSocket, label: string): Promise<Buffer> {
  return new Promise((resolve) => {
    secure.on('keylog', (line: Buffer) => {
      const [name, , secret] = line.toString().trim().split(' ');
      if (name === label) resolve(Buffer.from(secret ?? '', 'hex'));
    });
  });
}
