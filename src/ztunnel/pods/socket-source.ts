// Pods over a unix socket. Only root may connect: who can name a namespace here decides what is captured.
import { mkdir } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { checkPrivateDirectory } from '../../runtime/private-files.ts';
import { listenOnSocketFile } from '../../runtime/socket-file.ts';
import { ZtunnelError } from '../errors.ts';
import type { PodSession, PodSource } from './pod-source.ts';
import { answerLine, lineBytesMax } from './protocol.ts';

const connectionsMax = 64;
/** Requests of one connection that are read ahead while one is being answered. */
const queuedMax = 1024;

export class SocketPodSource implements PodSource {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #sockets = new Set<Socket>();
  readonly #takesOver: boolean;
  #server: Server | undefined;
  #remove: (() => Promise<void>) | undefined;

  /** `takesOver`: a predecessor that listens there is expected, and loses the path. */
  constructor(options: { readonly path: string; readonly logger: Logger; readonly takesOver?: boolean }) {
    this.#path = options.path;
    this.#logger = options.logger;
    this.#takesOver = options.takesOver ?? false;
  }

  async start(open: () => PodSession): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket, open()));
    server.maxConnections = connectionsMax;
    this.#server = server;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      await checkPrivateDirectory(dirname(this.#path));
      if (!this.#takesOver) await this.#refuseOther();
      this.#remove = await listenOnSocketFile(server, this.#path);
    } catch (cause) {
      const message = `cannot listen for pods on ${this.#path}: ${messageOf(cause)}`;
      throw new ZtunnelError('ERR_CULVERT_POD_SOURCE', message, { cause });
    }
    server.on('error', (error) => this.#logger.error('the pod socket failed', { error: error.message }));
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server?.listening === true) await new Promise<void>((resolve) => server.close(() => resolve()));
    await this.#remove?.();
  }

  #serve(socket: Socket, session: PodSession): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', (error) => this.#logger.debug('a pod agent went away', { error: error.message }));
    serveLines(socket, async (line) => {
      const answer = await answerLine(session, line);
      if (!answer.ok) this.#logger.warn('a pod request failed', { code: answer.code, error: answer.message });
      return JSON.stringify(answer);
    });
  }

  /** A socket file that nobody listens on is a leftover; one that answers belongs to another ztunnel. */
  async #refuseOther(): Promise<void> {
    const answers = await new Promise<boolean>((resolve) => {
      const probe = connect(this.#path);
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
      probe.once('connect', () => probe.destroy());
    });
    if (answers) throw new Error('another process listens there');
  }
}

/** Answers line by line, in order; reading stops while too much is queued, and a line that is too long ends it. */
function serveLines(socket: Socket, answer: (line: string) => Promise<string>): void {
  let rest: Buffer = Buffer.alloc(0);
  let queue: string[] = [];
  let busy = false;
  const work = async (): Promise<void> => {
    busy = true;
    for (let line = queue.shift(); line !== undefined; line = queue.shift()) {
      const text = await answer(line);
      if (socket.destroyed) break;
      socket.write(`${text}\n`);
      if (queue.length < queuedMax / 2) socket.resume();
    }
    busy = false;
    if (socket.readableEnded) socket.end();
  };
  const refuse = (): void => {
    queue = [];
    const message = `a line exceeds ${lineBytesMax} bytes`;
    socket.end(`${JSON.stringify({ ok: false, code: 'ERR_CULVERT_POD_REQUEST', message })}\n`);
    socket.removeAllListeners('data').resume();
  };
  socket.on('data', (chunk: Buffer) => {
    let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      if (end > lineBytesMax) return refuse();
      const line = data.subarray(0, end).toString('utf8').trim();
      data = data.subarray(end + 1);
      if (line !== '') queue.push(line);
    }
    rest = data;
    if (rest.length > lineBytesMax) return refuse();
    if (queue.length >= queuedMax) socket.pause();
    if (!busy) void work();
  });
  socket.on('end', () => {
    if (!busy) socket.end();
  });
}
