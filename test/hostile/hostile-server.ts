// The hostile peer that our own tunnels are dialled to: takes TCP connections and does with each what an attack says.
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { TestLeaf } from '../support/certificates.ts';
import { RawEnd, flags, frame, frameTypes, ok, preface } from '../support/raw-h2.ts';
import { type RecordWriter, serveRecords, wireOf } from '../support/tls-records.ts';
import { addresses } from './scene.ts';

type Credentials = Pick<TestLeaf, 'chainPem' | 'keyPem' | 'rootPem'>;

export class HostileServer {
  readonly port: number;
  /** Of the workload that the mesh knows to be here. */
  readonly leaf: TestLeaf;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #behave: (socket: net.Socket) => unknown = (socket) => socket.destroy();
  /** Connections since the last `behave`. */
  accepted = 0;

  static async start(leaf: TestLeaf): Promise<HostileServer> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, addresses.hostile);
    await once(server, 'listening');
    return new HostileServer(server, leaf);
  }

  private constructor(server: net.Server, leaf: TestLeaf) {
    this.#server = server;
    this.leaf = leaf;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      this.accepted += 1;
      socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
      this.#behave(socket);
    });
  }

  /** What to do with each connection from now on; those of before are closed. */
  behave(how: (socket: net.Socket) => unknown): void {
    for (const socket of this.#sockets) socket.destroy();
    this.accepted = 0;
    this.#behave = how;
  }

  /** Finishes the handshake and says SETTINGS; `request` is called with each stream that asks for something. */
  http2(request: (end: RawEnd, stream: number) => unknown, first: Buffer = frame('settings', 0, 0)): void {
    this.behave((socket) => {
      const end = new RawEnd(this.secure(socket), preface.length);
      end.onFrame = ({ type, stream }) => {
        if (type === frameTypes.headers) request(end, stream);
      };
      end.write(first);
    });
  }

  /** Finishes the handshake, then writes records by hand. */
  records(then: (writer: RecordWriter) => unknown): void {
    this.behave((socket) => {
      const secure = this.secure(wireOf(socket));
      secure.resume();
      void serveRecords(socket, secure).then(then);
    });
  }

  secure(
    transport: net.Socket | ReturnType<typeof wireOf>,
    credentials: Credentials = this.leaf,
  ): tls.TLSSocket {
    const socket = new tls.TLSSocket(transport, {
      isServer: true,
      cert: credentials.chainPem,
      key: credentials.keyPem,
      ca: credentials.rootPem,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
    });
    return socket.on('error', () => undefined);
  }

  close(): void {
    this.behave((socket) => socket.destroy());
    this.#server.close();
  }
}

/** `200` on `stream`, body open. */
export function accept(stream: number): Buffer {
  return frame('headers', flags.endHeaders, stream, ok);
}
