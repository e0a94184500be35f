// Decodes a batch of events as the native engine writes it (native/addon/engine/event_record.h): little endian,
// each record 8-aligned, a header of 24 bytes, fixed fields by kind, then strings with a 16-bit length.
import { type IpAddress, type SocketAddress, ipFromBytes } from '../mesh/address.ts';
import { EngineError } from './errors.ts';
import type { CloseReason, EngineEvent, Reused } from './types.ts';

/** What the addon says about its own records, compared with what this file reads. */
export interface EngineLayout {
  readonly reasons: readonly string[];
  readonly recordHeaderBytes: number;
  readonly eventKinds: number;
}

/** In the order of `Reason` in native/addon/engine/types.h. */
export const closeReasons: readonly CloseReason[] = [
  'ok',
  'denied',
  'no_route',
  'no_waypoint',
  'self_call',
  'bad_request',
  'connect_failed',
  'network_policy',
  'tls_failure',
  'h2_failure',
  'identity_error',
  'cert_revoked',
  'peer_status',
  'peer_reset',
  'app_reset',
  'tunnel_lost',
  'decision_timeout',
  'limit',
  'drained',
  'closed_by_request',
];

/** Nothing is open any more; for the engine itself. */
export interface DrainedSignal {
  readonly kind: 'drained';
}

const headerBytes = 24;
const kindOf = {
  outbound: 1,
  plaintext: 2,
  connect: 3,
  connected: 4,
  closed: 5,
  tunnelUp: 6,
  tunnelDown: 7,
  overload: 8,
  drained: 9,
} as const;
const endings = ['initiator', 'target', 'engine'] as const;
const noAddress: SocketAddress = { ip: '0.0.0.0' as IpAddress, port: 0 };

/** Throws ERR_CULVERT_ADDON_INCOMPATIBLE if the addon was built from other sources than this file. */
export function checkLayout(layout: EngineLayout): void {
  const same =
    layout.recordHeaderBytes === headerBytes &&
    layout.eventKinds === kindOf.drained &&
    layout.reasons.length === closeReasons.length &&
    layout.reasons.every((reason, index) => reason === closeReasons[index]);
  if (same) return;
  throw new EngineError(
    'ERR_CULVERT_ADDON_INCOMPATIBLE',
    'the native addon is of another build; run `npm run build:native`',
  );
}

/** All events of a batch, oldest first. Throws a RangeError if the batch is cut short. */
export function decodeEvents(batch: Buffer): (EngineEvent | DrainedSignal)[] {
  const events: (EngineEvent | DrainedSignal)[] = [];
  let offset = 0;
  while (offset < batch.length) {
    const size = batch.readUInt32LE(offset);
    if (size < headerBytes || offset + size > batch.length)
      throw new RangeError(`record of ${size} bytes at ${offset} of ${batch.length}`);
    const event = decode(new Reader(batch, offset, offset + size));
    if (event !== undefined) events.push(event);
    offset += size;
  }
  return events;
}

function decode(record: Reader): EngineEvent | DrainedSignal | undefined {
  const kind = record.kind;
  switch (kind) {
    case kindOf.outbound:
    case kindOf.plaintext: {
      const reused = reusedOf(record.u64(), record.u64());
      const client = record.address();
      const originalDst = record.address();
      const podId = record.text();
      const trace = record.text();
      const { id } = record;
      return kind === kindOf.outbound
        ? { kind: 'outbound', id, podId, client, originalDst, trace, ...reused }
        : { kind: 'plaintext', id, podId, client, originalDst };
    }
    case kindOf.connect: {
      const reused = reusedOf(record.u64(), 0);
      const peer = record.address();
      const local = record.address();
      const podId = record.text();
      const peerIdentity = record.text();
      const authority = record.text();
      return {
        kind: 'connect',
        id: record.id,
        podId,
        peer,
        local,
        peerIdentity,
        authority,
        headers: record.pairs(),
        ...reused,
      };
    }
    case kindOf.connected: {
      const tunnelId = record.u64();
      const setupUs = record.u64();
      const tunnelIsNew = record.u8() === 1;
      const peerIdentity = record.text();
      return {
        kind: 'connected',
        id: record.id,
        tunnelId,
        tunnelIsNew,
        setupUs,
        headers: record.pairs(),
        peerIdentity,
      };
    }
    case kindOf.closed: {
      const bytesSent = record.f64();
      const bytesReceived = record.f64();
      const durationMs = record.f64();
      const endedBy = endings[record.u8()] ?? 'engine';
      const afterEnd = record.u8() === 1;
      const { id, reason, detail } = record;
      return { kind: 'closed', id, bytesSent, bytesReceived, durationMs, reason, detail, endedBy, afterEnd };
    }
    case kindOf.tunnelUp: {
      const handshakeUs = record.u64();
      const direction = record.u8() === 0 ? 'inbound' : 'outbound';
      const peer = record.address();
      const podId = record.text();
      return {
        kind: 'tunnelUp',
        tunnelId: record.id,
        direction,
        podId,
        peer,
        peerIdentity: record.text(),
        handshakeUs,
      };
    }
    case kindOf.tunnelDown: {
      const direction = record.u8() === 0 ? 'inbound' : 'outbound';
      const peer = record.address();
      const podId = record.text();
      const peerIdentity = record.text();
      const message = record.text();
      const { id: tunnelId, reason, detail } = record;
      return { kind: 'tunnelDown', tunnelId, direction, podId, peer, peerIdentity, reason, detail, message };
    }
    case kindOf.overload: {
      const count = record.u64();
      return { kind: 'overload', queue: record.text(), count };
    }
    case kindOf.drained:
      return { kind: 'drained' };
    default:
      return undefined;
  }
}

/** Ticket 0: an answer is waited for. */
function reusedOf(ticket: number, choice: number): { readonly reused?: Reused } {
  return ticket === 0 ? {} : { reused: { ticket, choice } };
}

/** One record; the getters of the body must be called in the order of the fields. */
class Reader {
  readonly kind: number;
  readonly reason: CloseReason;
  readonly detail: number;
  readonly id: number;
  readonly #batch: Buffer;
  readonly #end: number;
  #at: number;

  constructor(batch: Buffer, start: number, end: number) {
    this.#batch = batch;
    this.#end = end;
    this.kind = batch.readUInt8(start + 4);
    this.reason = closeReasons[batch.readUInt8(start + 5)] ?? 'ok';
    this.detail = batch.readUInt16LE(start + 6);
    this.id = Number(batch.readBigUInt64LE(start + 8));
    this.#at = start + headerBytes;
  }

  u8(): number {
    return this.#batch.readUInt8(this.#take(1));
  }

  u64(): number {
    return Number(this.#batch.readBigUInt64LE(this.#take(8)));
  }

  f64(): number {
    return this.#batch.readDoubleLE(this.#take(8));
  }

  text(): string {
    const length = this.#batch.readUInt16LE(this.#take(2));
    const start = this.#take(length);
    // Header values are bytes: latin1 keeps each of them, and for ASCII it is the same.
    return this.#batch.toString('latin1', start, start + length);
  }

  pairs(): (readonly [string, string])[] {
    const count = this.#batch.readUInt16LE(this.#take(2));
    const pairs: (readonly [string, string])[] = [];
    for (let i = 0; i < count; i += 1) pairs.push([this.text(), this.text()]);
    return pairs;
  }

  address(): SocketAddress {
    const family = this.u8();
    this.u8();
    const port = this.#batch.readUInt16LE(this.#take(2));
    const start = this.#take(16);
    const bytes = this.#batch.subarray(start, start + (family === 4 ? 4 : 16));
    if (family === 4) return { ip: `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as IpAddress, port };
    const ip = family === 6 ? ipFromBytes(bytes) : undefined;
    return ip === undefined ? noAddress : { ip, port };
  }

  #take(length: number): number {
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#end) throw new RangeError(`field ends at ${this.#at}, record at ${this.#end}`);
    return start;
  }
}
