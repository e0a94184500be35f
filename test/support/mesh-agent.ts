// A program that tests run inside a pod: it takes commands as JSON lines on standard input and answers on standard
// output. It knows nothing of the mesh: plain sockets of node:net, as any application would use them.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { HboneAttempt } from './mesh-hostile.ts';
import { attemptHbone } from './mesh-hostile.ts';

/** How a server treats each of its connections. */
export type ServerMode =
  | 'echo' // sends back what comes, and its end after the client's
  | 'greet' // says `hello` first, then echoes
  | 'digest' // reads to the end, then answers with the SHA-256 of it
  | 'source' // reads `<bytes>\n`, sends that many, and its end; keeps reading
  | 'farewell' // says `bye` and sends its end at once, then reads on and remembers how much came
  | 'peer' // says the client's address as it sees it
  | 'peerPort' // says the client's port as it sees it
  | 'reset'; // resets the connection after the first byte

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs?: number;
  /** Where to dial from; the system's choice by default. */
  readonly localAddress?: string;
  readonly localPort?: number;
}

export type AgentCommand =
  | { readonly op: 'listen'; readonly port: number; readonly mode: ServerMode }
  /** Listens there no more; what is open stays open. */
  | { readonly op: 'unlisten'; readonly port: number }
  /** Sends `bytes`, its end (unless `halfClose` is false), reads to the end. */
  | ({ readonly op: 'exchange'; readonly bytes: number; readonly expectFirst?: boolean } & Target)
  /** `count` exchanges at once. */
  | ({ readonly op: 'parallel'; readonly count: number; readonly bytes: number } & Target)
  /** Asks a `source` for `bytes` and reads them. */
  | ({ readonly op: 'download'; readonly bytes: number } & Target)
  /** Waits for the server's end, then sends `bytes` and its own end. */
  | ({ readonly op: 'afterEnd'; readonly bytes: number } & Target)
  /** Opens a connection to an echo server and keeps it; `name` is for `probe` and `ended`. */
  | ({ readonly op: 'hold'; readonly name: string } & Target)
  /** Sends a byte over a held connection and waits until it is back. */
  | { readonly op: 'probe'; readonly name: string }
  /** How a held connection ended: waits until it has. */
  | { readonly op: 'ended'; readonly name: string; readonly timeoutMs: number }
  /** Exchanges of one byte, one after the other, until `stop`; counts those that fail. */
  | ({ readonly op: 'load'; readonly name: string; readonly pauseMs: number } & Target)
  | { readonly op: 'stop'; readonly name: string }
  | { readonly op: 'release'; readonly name: string }
  /** Resets a held connection. */
  | { readonly op: 'abort'; readonly name: string }
  /** Sends these bytes (base64), reads to the end or for `timeoutMs`. */
  | ({ readonly op: 'raw'; readonly base64: string } & Target)
  | ({ readonly op: 'hbone' } & HboneAttempt)
  /** What the servers of this agent have seen on a port. */
  | { readonly op: 'seen'; readonly port: number };

export interface Exchange {
  /** `refused` and `reset` are the socket's error; `ended` means an end before the expected bytes. */
  readonly outcome: 'ok' | 'ended' | 'reset' | 'refused' | 'timeout' | 'unreachable' | 'mismatch';
  readonly received: number;
  readonly text: string;
  readonly ms: number;
}

interface Held {
  readonly socket: Socket;
  readonly openedMs: number;
  readonly end: Promise<{ outcome: Exchange['outcome']; afterMs: number }>;
}

const servers = new Map<number, Server>();
const held = new Map<string, Held>();
const loads = new Map<string, { stopped: boolean; done: Promise<{ total: number; failures: string[] }> }>();
const seen = new Map<number, { connections: number; resets: number; bytesAfterEnd: number[] }>();
const block = Buffer.alloc(64 * 1024, 'culvert-carries-these-bytes-');

async function listen(port: number, mode: ServerMode): Promise<void> {
  const record = { connections: 0, resets: 0, bytesAfterEnd: [] as number[] };
  seen.set(port, record);
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    record.connections += 1;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET') record.resets += 1;
      socket.destroy();
    });
    serve(socket, mode, record.bytesAfterEnd);
  });
  server.listen({ port, host: '::', backlog: 2048 });
  servers.set(port, server);
  await once(server, 'listening');
}

function serve(socket: Socket, mode: ServerMode, bytesAfterEnd: number[]): void {
  if (mode === 'echo' || mode === 'greet') {
    if (mode === 'greet') socket.write('hello\n');
    socket.pipe(socket);
  } else if (mode === 'digest') {
    const hash = createHash('sha256');
    socket.on('data', (data: Buffer) => hash.update(data));
    socket.on('end', () => socket.end(hash.digest('hex')));
  } else if (mode === 'source') {
    let line = '';
    socket.on('data', (data: Buffer) => {
      line += data.toString('latin1');
      if (line.includes('\n'))
        void send(socket, Number(line.slice(0, line.indexOf('\n')))).then(() => socket.end());
      if (line.includes('\n')) line = '';
    });
  } else if (mode === 'farewell') {
    let bytes = 0;
    socket.end('bye\n');
    socket.on('data', (data: Buffer) => (bytes += data.length));
    socket.on('end', () => bytesAfterEnd.push(bytes));
  } else if (mode === 'peer' || mode === 'peerPort') {
    socket.resume();
    socket.end(`${(mode === 'peer' ? socket.remoteAddress : socket.remotePort) ?? ''}\n`);
  } else {
    socket.once('data', () => socket.resetAndDestroy());
  }
}

/** Writes `bytes` of the pattern with back-pressure; stops when the socket is gone. */
async function send(socket: Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= block.length) {
    const part = left >= block.length ? block : block.subarray(0, left);
    if (!socket.write(part))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
  }
}

function patternHash(bytes: number): string {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= block.length)
    hash.update(block.subarray(0, Math.min(left, block.length)));
  return hash.digest('hex');
}

interface Reading {
  readonly outcome: Exchange['outcome'];
  readonly hash: string;
  readonly text: string;
  readonly received: number;
}

function open(target: Target): Socket {
  const { host, port, localAddress, localPort } = target;
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    ...(localAddress !== undefined && { localAddress }),
    ...(localPort !== undefined && { localPort }),
  });
  socket.setTimeout(target.timeoutMs ?? 8000, () =>
    socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })),
  );
  return socket;
}

/** Reads to the end. The text is that of the first 256 bytes. `skip` bytes are left out of the hash. */
function readAll(socket: Socket, skip = 0): Promise<Reading> {
  const hash = createHash('sha256');
  let received = 0;
  let text = '';
  let outcome: Exchange['outcome'] = 'ok';
  return new Promise((resolve) => {
    const finish = (): void => resolve({ outcome, hash: hash.digest('hex'), text, received });
    socket.on('data', (data: Buffer) => {
      if (text.length < 256) text += data.toString('latin1').slice(0, 256 - text.length);
      hash.update(received >= skip ? data : data.subarray(Math.min(data.length, skip - received)));
      received += data.length;
    });
    socket.once('error', (error: NodeJS.ErrnoException) => (outcome = outcomeOf(error.code)));
    socket.once('end', finish);
    socket.once('close', () => {
      if (outcome !== 'ok') finish();
      else resolve({ outcome: 'reset', hash: '', text, received });
    });
  });
}

function outcomeOf(code: string | undefined): Exchange['outcome'] {
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'reset';
  return 'unreachable';
}

async function exchange(target: Target, bytes: number, expectFirst: boolean): Promise<Exchange> {
  const started = performance.now();
  const socket = open(target);
  const greeting = expectFirst ? 'hello\n' : '';
  const reading = readAll(socket, greeting.length);
  if (expectFirst) await Promise.race([once(socket, 'data'), reading]).catch(() => undefined);
  await send(socket, bytes);
  socket.end();
  const { outcome, hash, text, received } = await reading;
  socket.destroy();
  const ms = performance.now() - started;
  if (outcome !== 'ok') return { outcome, received, text, ms };
  if (received < bytes + greeting.length) return { outcome: 'ended', received, text, ms };
  const whole = text.startsWith(greeting) && hash === patternHash(bytes);
  return { outcome: whole ? 'ok' : 'mismatch', received, text, ms };
}

async function digest(target: Target, bytes: number): Promise<Exchange> {
  const result = await exchange(target, bytes, false);
  if (result.outcome !== 'ended' || result.text === '') return result;
  return { ...result, outcome: result.text === patternHash(bytes) ? 'ok' : 'mismatch' };
}

async function download(target: Target, bytes: number): Promise<Exchange> {
  const started = performance.now();
  const socket = open(target);
  const reading = readAll(socket);
  socket.write(`${bytes}\n`);
  const { outcome, hash, text, received } = await reading;
  socket.end();
  const ms = performance.now() - started;
  if (outcome !== 'ok') return { outcome, received, text, ms };
  if (received < bytes) return { outcome: 'ended', received, text, ms };
  return { outcome: hash === patternHash(bytes) ? 'ok' : 'mismatch', received, text, ms };
}

async function afterEnd(target: Target, bytes: number): Promise<Exchange> {
  const started = performance.now();
  const socket = open(target);
  const { outcome, text, received } = await readAll(socket);
  if (outcome === 'ok') {
    await send(socket, bytes);
    socket.end();
    if (!socket.destroyed) await once(socket, 'close');
  }
  return { outcome, text, received, ms: performance.now() - started };
}

async function hold(target: Target, name: string): Promise<Exchange> {
  const started = performance.now();
  const socket = open({ ...target });
  const openedMs = performance.now();
  const end = readEnd(socket, openedMs);
  held.set(name, { socket, openedMs, end });
  return { ...(await probe(name)), ms: performance.now() - started };
}

/** How and when the connection ended: an error, or the server's end. */
function readEnd(socket: Socket, openedMs: number): Held['end'] {
  return new Promise((resolve) => {
    const finish = (outcome: Exchange['outcome']): void =>
      resolve({ outcome, afterMs: performance.now() - openedMs });
    socket.once('error', (error: NodeJS.ErrnoException) => finish(outcomeOf(error.code)));
    socket.once('end', () => finish('ended'));
    socket.once('close', () => finish('reset'));
  });
}

async function probe(name: string): Promise<Exchange> {
  const entry = held.get(name);
  if (entry === undefined) throw new Error(`nothing is held as ${name}`);
  const started = performance.now();
  const { socket } = entry;
  socket.setTimeout(8000);
  socket.write('x');
  const answer = await Promise.race([
    once(socket, 'data').then(() => 'ok' as const),
    entry.end.then(({ outcome }) => outcome),
  ]).catch(() => 'reset' as const);
  socket.setTimeout(0);
  return { outcome: answer, received: answer === 'ok' ? 1 : 0, text: '', ms: performance.now() - started };
}

function load(target: Target, name: string, pauseMs: number): void {
  const state = { stopped: false, done: Promise.resolve({ total: 0, failures: [] as string[] }) };
  const work = async (): Promise<{ total: number; failures: string[] }> => {
    const failures: string[] = [];
    let total = 0;
    while (!state.stopped) {
      const { outcome } = await exchange(target, 1, false);
      total += 1;
      if (outcome !== 'ok' && failures.length < 100) failures.push(outcome);
      if (pauseMs > 0) await delay(pauseMs);
    }
    return { total, failures };
  };
  state.done = work();
  loads.set(name, state);
}

async function raw(target: Target, bytes: Buffer): Promise<Exchange> {
  const started = performance.now();
  const socket = open(target);
  const reading = readAll(socket);
  socket.write(bytes);
  const { outcome, text, received } = await reading;
  socket.destroy();
  return { outcome, text, received, ms: performance.now() - started };
}

async function obey(command: AgentCommand): Promise<unknown> {
  switch (command.op) {
    case 'listen':
      return listen(command.port, command.mode);
    case 'unlisten':
      servers.get(command.port)?.close();
      return undefined;
    case 'exchange':
      return command.expectFirst === undefined
        ? digest(command, command.bytes)
        : exchange(command, command.bytes, command.expectFirst);
    case 'parallel':
      return Promise.all(
        Array.from({ length: command.count }, () => exchange(command, command.bytes, false)),
      );
    case 'download':
      return download(command, command.bytes);
    case 'afterEnd':
      return afterEnd(command, command.bytes);
    case 'hold':
      return hold(command, command.name);
    case 'probe':
      return probe(command.name);
    case 'ended': {
      const entry = held.get(command.name);
      if (entry === undefined) throw new Error(`nothing is held as ${command.name}`);
      return Promise.race([entry.end, delay(command.timeoutMs).then(() => ({ outcome: 'timeout' }))]);
    }
    case 'load':
      return load(command, command.name, command.pauseMs);
    case 'stop': {
      const state = loads.get(command.name);
      if (state === undefined) throw new Error(`no load ${command.name}`);
      state.stopped = true;
      loads.delete(command.name);
      return state.done;
    }
    case 'abort':
      held.get(command.name)?.socket.resetAndDestroy();
      held.delete(command.name);
      return undefined;
    case 'release':
      held.get(command.name)?.socket.destroy();
      held.delete(command.name);
      return undefined;
    case 'raw':
      return raw(command, Buffer.from(command.base64, 'base64'));
    case 'hbone':
      return attemptHbone(command);
    case 'seen':
      return seen.get(command.port);
  }
}

if (process.argv[1] === import.meta.filename) {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { id, command } = JSON.parse(line) as { id: number; command: AgentCommand };
    obey(command).then(
      (value) => process.stdout.write(`${JSON.stringify({ id, value: value ?? null })}\n`),
      (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
    );
  });
  lines.on('close', () => process.exit(0));
}
