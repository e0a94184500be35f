// Peers that a tunnel port may meet: right and wrong certificates, wrong protocols, requests that are none of theirs.
import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';

export interface HboneAttempt {
  readonly host: string;
  readonly port: number;
  /** PEM. Without a certificate none is presented. */
  readonly certificateChain?: string;
  readonly privateKey?: string;
  readonly alpn: readonly string[];
  readonly method?: string;
  readonly authority: string;
  /** Sent after a 200, echoed by the application. */
  readonly payload?: string;
  readonly timeoutMs?: number;
}

export interface HboneOutcome {
  /** How far it came. */
  readonly stage: 'handshake' | 'request' | 'answered';
  /** Of an answer. */
  readonly status?: number;
  readonly echoed?: string;
  readonly error?: string;
}

/** Dials, asks once, and says how far it came. Never rejects. */
export async function attemptHbone(attempt: HboneAttempt): Promise<HboneOutcome> {
  const socket = tls.connect({
    host: attempt.host,
    port: attempt.port,
    ...(attempt.certificateChain !== undefined && {
      cert: attempt.certificateChain,
      key: attempt.privateKey ?? '',
    }),
    ALPNProtocols: [...attempt.alpn],
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false, // the attacker does not care whom it talks to
  });
  socket.setTimeout(attempt.timeoutMs ?? 6000, () => socket.destroy(new Error('timeout')));
  let stage: HboneOutcome['stage'] = 'handshake';
  try {
    await once(socket, 'secureConnect');
    if (socket.alpnProtocol !== 'h2') return { stage, error: `negotiated ${String(socket.alpnProtocol)}` };
    stage = 'request';
    return await request(socket, attempt);
  } catch (error) {
    return { stage, error: error instanceof Error ? error.message : String(error) };
  } finally {
    socket.destroy();
  }
}

async function request(socket: tls.TLSSocket, attempt: HboneAttempt): Promise<HboneOutcome> {
  const session = http2.connect('http://hbone', { createConnection: () => socket });
  const failed = new Promise<never>((_, reject) => {
    session.once('error', reject);
    session.once('close', () => reject(new Error('the session was closed')));
  });
  failed.catch(() => undefined);
  const method = attempt.method ?? 'CONNECT';
  const target = method === 'CONNECT' ? {} : { ':path': '/', ':scheme': 'https' };
  const stream = session.request(
    { ':method': method, ':authority': attempt.authority, ...target },
    { endStream: false },
  );
  const broken = new Promise<never>((_, reject) => stream.once('error', reject));
  broken.catch(() => undefined);
  const [headers] = (await Promise.race([once(stream, 'response'), failed, broken])) as [
    http2.IncomingHttpHeaders & { readonly ':status'?: number },
  ];
  const status = headers[':status'] ?? 0;
  if (status !== 200 || attempt.payload === undefined) return { stage: 'answered', status };
  stream.write(attempt.payload);
  const [echoed] = (await Promise.race([once(stream, 'data'), failed, broken])) as [Buffer];
  return { stage: 'answered', status, echoed: echoed.toString() };
}
