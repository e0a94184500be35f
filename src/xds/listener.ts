// The TCP side of the control channel: counts connections before anything of them is read, in all and by source.
import { once } from 'node:events';
import net from 'node:net';

export interface ListenerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly connectionsMax: number;
  /** Many nodes may come from one address, where the network translates addresses. */
  readonly connectionsPerSourceMax: number;
  readonly accepted: (socket: net.Socket) => void;
  readonly refused: (source: string) => void;
}

export class Listener {
  readonly #server: net.Server;
  readonly #bySource = new Map<string, number>();
  #open = 0;

  /** Rejects with what the socket says. */
  static async start(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    listener.#server.listen(options.port, options.host);
    await once(listener.#server, 'listening');
    return listener;
  }

  private constructor(options: ListenerOptions) {
    this.#server = net.createServer({ noDelay: true, keepAlive: true }, (socket) =>
      this.#take(socket, options),
    );
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Takes no more; what is open stays open. */
  close(): void {
    this.#server.close();
  }

  #take(socket: net.Socket, options: ListenerOptions): void {
    const source = socket.remoteAddress ?? '';
    const own = this.#bySource.get(source) ?? 0;
    if (this.#open >= options.connectionsMax || own >= options.connectionsPerSourceMax) {
      socket.resetAndDestroy();
      return options.refused(source);
    }
    this.#open += 1;
    this.#bySource.set(source, own + 1);
    socket.once('close', () => this.#release(source));
    options.accepted(socket);
  }

  #release(source: string): void {
    this.#open -= 1;
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left > 0) this.#bySource.set(source, left);
    else this.#bySource.delete(source);
  }
}
