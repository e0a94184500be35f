// The small HTTP servers of a process: metrics, readiness, admin. Whoever can reach one is a stranger: a request is
// short, has little time, and there are few at once. These answer operators and scrapers, never the mesh's traffic.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { RuntimeError, messageOf } from './errors.ts';
import { listenOnSocketFile } from './socket-file.ts';
import type { Logger } from './logger.ts';

export type ListenAddress =
  /** Host `*`: every address. Port 0: any free one. `shared`: a successor may listen there before this one stops. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly shared?: boolean }
  /** A socket file for its owner alone (0600); one that is there is replaced. */
  | { readonly kind: 'unix'; readonly path: string };

export interface EndpointRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** At most 1 MiB, else the request is answered with 413. */
  readonly body: Buffer;
}

export interface EndpointResponse {
  readonly status?: number;
  /** `text/plain; charset=utf-8` by default. */
  readonly contentType?: string;
  readonly body: string;
}

export interface EndpointRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** One line for the index. */
  readonly summary: string;
  readonly handle: (request: EndpointRequest) => EndpointResponse | Promise<EndpointResponse>;
}

export interface EndpointOptions {
  /** For logs and errors: `admin`, `metrics`, `readiness`. */
  readonly name: string;
  readonly listen: readonly ListenAddress[];
  readonly routes: readonly EndpointRoute[];
  readonly logger: Logger;
  /** Refuses what a web page could make a browser send here: requests with an Origin, or for a host that has a name. */
  readonly refuseBrowsers?: boolean;
}

interface Listening {
  readonly server: Server;
  readonly listen: ListenAddress;
  /** To be called when it is closed. */
  readonly remove: () => Promise<void>;
}

const bodyBytesMax = 1024 * 1024;
const connectionsMax = 64;

export class HttpEndpoint {
  readonly #options: EndpointOptions;
  readonly #routes = new Map<string, EndpointRoute>();
  #servers: readonly Listening[] = [];

  private constructor(options: EndpointOptions) {
    this.#options = options;
    for (const route of options.routes) this.addRoute(route);
  }

  static async start(options: EndpointOptions): Promise<HttpEndpoint> {
    const endpoint = new HttpEndpoint(options);
    try {
      await endpoint.listen(options.listen);
    } catch (error) {
      await endpoint.close();
      throw error;
    }
    return endpoint;
  }

  /** Listens there as well. Throws ERR_CULVERT_LISTEN. */
  async listen(addresses: readonly ListenAddress[]): Promise<void> {
    for (const listen of addresses) await this.#listen(listen);
  }

  /** A later route of the same method and path replaces the earlier one. */
  addRoute(route: EndpointRoute): void {
    this.#routes.set(`${route.method} ${route.path}`, route);
  }

  get routes(): readonly EndpointRoute[] {
    return [...this.#routes.values()];
  }

  /** Where it listens, with the ports that were given: `127.0.0.1:15000`, `[::1]:15000`. */
  get addresses(): readonly string[] {
    return this.#servers.map(({ server, listen }) => {
      const address = server.address();
      if (listen.kind === 'unix' || address === null || typeof address === 'string')
        return listen.kind === 'unix' ? listen.path : '';
      return address.family === 'IPv6'
        ? `[${address.address}]:${address.port}`
        : `${address.address}:${address.port}`;
    });
  }

  /** The first TCP port; 0 if it listens on sockets alone. */
  get port(): number {
    for (const { server } of this.#servers) {
      const address = server.address();
      if (address !== null && typeof address !== 'string') return address.port;
    }
    return 0;
  }

  /** Stops at once; connections that are open are closed. Idempotent. */
  async close(): Promise<void> {
    await this.#stop(() => true);
  }

  /** Stops where a successor listens: its socket files are its own. */
  async yield(): Promise<void> {
    await this.#stop(({ listen }) => listen.kind === 'tcp');
  }

  async #stop(which: (one: Listening) => boolean): Promise<void> {
    const stopping = this.#servers.filter(which);
    this.#servers = this.#servers.filter((one) => !stopping.includes(one));
    for (const { server, remove } of stopping) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await remove();
    }
  }

  async #listen(listen: ListenAddress): Promise<void> {
    const server = createServer(
      { maxHeaderSize: 16 * 1024, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
      (request, response) => void this.#serve(request, response),
    );
    server.maxConnections = connectionsMax;
    server.on('clientError', (_error, socket) => socket.destroy());
    try {
      const remove =
        listen.kind === 'unix'
          ? await listenOnSocketFile(server, listen.path)
          : await listenOn(server, listen);
      this.#servers = [...this.#servers, { server, listen, remove }];
    } catch (cause) {
      throw this.#cannotListen(listen, cause);
    }
    server.on('error', (error) => this.#options.logger.error(`${this.#options.name}: ${messageOf(error)}`));
  }

  #cannotListen(listen: ListenAddress, cause: unknown): RuntimeError {
    const where = listen.kind === 'unix' ? listen.path : `${listen.host}:${listen.port}`;
    return new RuntimeError(
      'ERR_CULVERT_LISTEN',
      `the ${this.#options.name} server cannot listen on ${where}: ${messageOf(cause)}`,
      { cause },
    );
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: EndpointResponse;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      // It broke off: nobody waits for an answer, and a stranger could fill the log that way.
      if (!request.complete) return void response.destroy();
      const where = (request.url ?? '').slice(0, 256);
      this.#options.logger.error(`${this.#options.name}: ${where}: ${messageOf(error)}`);
      answer = { status: 500, body: 'internal error; see the log\n' };
    }
    if (response.destroyed) return;
    response.writeHead(answer.status ?? 200, {
      'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(answer.status === 413 ? { connection: 'close' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage): Promise<EndpointResponse> {
    if (this.#options.refuseBrowsers === true && !isDirect(request))
      return { status: 403, body: 'this endpoint answers tools, not web pages\n' };
    const url = URL.parse(request.url ?? '/', 'http://endpoint');
    if (url === null) return { status: 400, body: 'malformed request target\n' };
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
    const route = this.#routes.get(`${method} ${url.pathname}`);
    if (route === undefined) return this.#noRoute(url.pathname);
    const body = await readBody(request);
    if (body === undefined) return { status: 413, body: `a body has at most ${bodyBytesMax} bytes\n` };
    return route.handle({
      method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers as Record<string, string | undefined>,
      body,
    });
  }

  #noRoute(path: string): EndpointResponse {
    const others = this.routes.filter((route) => route.path === path).map((route) => route.method);
    if (others.length === 0) return { status: 404, body: 'not found; / lists what there is\n' };
    return { status: 405, body: `use ${others.join(' or ')}\n` };
  }
}

async function listenOn(
  server: Server,
  { host, port, shared = false }: Extract<ListenAddress, { kind: 'tcp' }>,
): Promise<() => Promise<void>> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, reusePort: shared, ...(host !== '*' && { host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return () => Promise.resolve();
}

/** A page that rebinds its own name to 127.0.0.1 sends that name as the host; one that posts across sends its origin. */
function isDirect(request: IncomingMessage): boolean {
  if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined) return false;
  const host = (request.headers.host ?? 'localhost').replace(/:\d+$/, '');
  return host === 'localhost' || /^[0-9.]+$/.test(host) || /^\[[0-9a-fA-F:.]+\]$/.test(host);
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
