// Events of the engine with everything filled in.
import type {
  ClosedEvent,
  ConnectEvent,
  ConnectedEvent,
  OutboundEvent,
  PlaintextEvent,
} from '../../src/engine/types.ts';
import { ip, parseSocketAddress } from '../../src/mesh/address.ts';
import type { SocketAddress } from '../../src/mesh/address.ts';

export function socketAddress(text: string): SocketAddress {
  const address = parseSocketAddress(text);
  if (address === undefined) throw new RangeError(text);
  return address;
}

export function outboundEvent(id: number, podId: string, client: string, originalDst: string): OutboundEvent {
  return {
    kind: 'outbound',
    id,
    podId,
    client: socketAddress(client),
    originalDst: socketAddress(originalDst),
    trace: `${id.toString(16).padStart(32, 'a')}-${id.toString(16).padStart(16, 'b')}`,
  };
}

export function plaintextEvent(
  id: number,
  podId: string,
  client: string,
  originalDst: string,
): PlaintextEvent {
  const { trace: _, ...event } = outboundEvent(id, podId, client, originalDst);
  return { ...event, kind: 'plaintext' };
}

export function connectEvent(
  overrides: Partial<ConnectEvent> & Pick<ConnectEvent, 'id' | 'podId' | 'authority' | 'peerIdentity'>,
): ConnectEvent {
  return {
    kind: 'connect',
    peer: { ip: ip('10.0.1.1'), port: 50000 },
    local: { ip: ip('10.0.2.1'), port: 15008 },
    headers: [],
    ...overrides,
  };
}

export function connectedEvent(id: number): ConnectedEvent {
  return {
    kind: 'connected',
    id,
    tunnelId: 1,
    tunnelIsNew: true,
    setupUs: 1500,
    headers: [],
    peerIdentity: '',
  };
}

export function closedEvent(id: number, overrides: Partial<ClosedEvent> = {}): ClosedEvent {
  return {
    kind: 'closed',
    id,
    bytesSent: 10,
    bytesReceived: 20,
    durationMs: 5,
    reason: 'ok',
    detail: 0,
    endedBy: 'initiator',
    afterEnd: false,
    ...overrides,
  };
}
