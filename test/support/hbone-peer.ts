// HBONE spoken by Node's own http2 module: a peer that shares no code with the engine, as an ambient node would be.
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';

export interface PeerCredentials {
  /** PEM, leaf first. */
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

export interface HboneClient {
  /** Sends CONNECT; resolves with the status and, on 200, the stream. */
  connect(
    authority: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ status: number; headers: http2.IncomingHttpHeaders; stream: http2.ClientHttp2Stream }>;
  readonly session: http2.ClientHttp2Session;
  close(): void;
}

/** Dials as ztunnel does: TLS 1.3, ALPN h2, no server name, no check of a DNS name. */
export async function dialHbone(
  to: { host: string; port: number; localAddress?: string },
  credentials: PeerCredentials,
  options: http2.ClientSessionOptions = {},
): Promise<HboneClient> {
  const socket = tls.connect({
    ...to,
    cert: credentials.certificateChain,
    key: credentials.privateKey,
    ca: credentials.roots,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    servername: '',
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const session = http2.connect('http://hbone', { ...options, createConnection: () => socket });
  session.on('error', () => undefined);
  return {
    session,
    async connect(authority, headers = {}) {
      const stream = session.request({ ':method': 'CONNECT', ':authority': authority, ...headers });
      const [received] = (await once(stream, 'response')) as [
        http2.IncomingHttpHeaders & { ':status'?: number },
      ];
      stream.on('error', () => undefined);
      return { status: received[':status'] ?? 0, headers: received, stream };
    },
    close: () => session.destroy(),
  };
}

export interface HboneServer {
  readonly port: number;
  /** CONNECT requests seen: authority, headers and the URI SANs of the peer's certificate. */
  readonly requests: { authority: string; headers: http2.IncomingHttpHeaders; peer: string }[];
  close(): Promise<void>;
}

/** Accepts HBONE on an ephemeral port of `host` and relays each CONNECT to its authority. */
export async function serveHbone(host: string, credentials: PeerCredentials): Promise<HboneServer> {
  const requests: HboneServer['requests'] = [];
  const server = http2.createSecureServer({
    cert: credentials.certificateChain,
    key: credentials.privateKey,
    ca: credentials.roots,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
  });
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    const peer = (stream.session?.socket as tls.TLSSocket).getPeerCertificate().subjectaltname ?? '';
    const authority = headers[':authority'] ?? '';
    requests.push({ authority, headers, peer });
    stream.on('error', () => undefined);
    const { hostname, port } = new URL(`http://${authority}`);
    const upstream = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    upstream.on('connect', () => {
      stream.respond({ ':status': 200 });
      stream.pipe(upstream);
      upstream.pipe(stream);
    });
    upstream.on('error', () => {
      if (stream.headersSent) stream.close(http2.constants.NGHTTP2_CONNECT_ERROR);
      else stream.respond({ ':status': 503 }, { endStream: true });
    });
    stream.on('close', () => upstream.destroy());
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    requests,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
