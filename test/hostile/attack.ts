// One attack, and what may be expected of its end.
import type { CloseReason } from '../../src/engine/types.ts';
import type { SocketAddress } from '../../src/mesh/address.ts';
import type { TestAuthority, TestLeaf } from '../support/certificates.ts';
import type { HostileServer } from './hostile-server.ts';
import type { VictimAnswer } from './scene.ts';

/** What an attack has at hand. */
export interface Scene {
  /** The tunnel port of the pod `server`. */
  readonly hbone: SocketAddress;
  /** The neighbour's application; what begins with `stall` is not read on, `flood` makes it send for ever. */
  readonly application: string;
  readonly authority: TestAuthority;
  /** Of a workload that the mesh knows: a pod that was taken over. */
  readonly leaf: TestLeaf;
  readonly hostile: HostileServer;
  /** A source address that no attack has had. */
  source(): string;
  /** Connects as an application in the pod `prey`, whose service is the hostile peer. */
  lure(): Promise<Lured>;
  state(): Promise<VictimAnswer>;
  /** New certificates: what is open retires. */
  renew(): Promise<void>;
  /** `full`, or a tenth of it under a sanitizer. */
  times(full: number): number;
}

/** A connection of the prey. */
export interface Lured {
  write(data: Buffer | string): void;
  pause(): void;
  resume(): void;
  /** `end`, or the code of the error that it died of. */
  readonly fate: Promise<string>;
  destroy(): void;
}

export interface Attack {
  readonly name: string;
  readonly group: 'before TLS' | 'certificates' | 'TLS records' | 'HTTP/2' | 'requests' | 'hostile servers';
  /** A sentence without its subject: `the attacker ...`. */
  readonly does: string;
  /** What stops it, with the default. */
  readonly limit: string;
  /** The engine's counter that tells of it; absent where nothing is refused. */
  readonly counter?: string;
  /** Name of the close reason in events, metrics and log, where a tunnel ends. */
  readonly reason?: CloseReason;
  /** Part of the selection that runs under a sanitizer. */
  readonly selected?: true;
  /** What is refused is a connection: its line is in the access log. */
  readonly accessLog?: true;
  /** Tunnels that are still in use afterwards, and not by the attacker. */
  readonly tunnelsLeft?: number;
  /** Megabytes that it may take while it lasts; 48 unless told. */
  readonly megabytesMax?: number;
  /** Attacks, sees it end as it must, and says how it ended. */
  run(scene: Scene): Promise<string>;
}
