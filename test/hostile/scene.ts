// Who is where, and what the processes of the suite say to each other.
import type { EngineLimits, EngineStats, EngineTimeouts } from '../../src/engine/types.ts';
import type { TestLeaf } from '../support/certificates.ts';

/** In the namespace of the arena all of 10.77/16 is this machine. Attackers take 10.77.9 and up, each its own address:
 *  bounds per source shall not mix them up. */
export const addresses = {
  client: '10.77.1.1',
  server: '10.77.1.2',
  prey: '10.77.1.3',
  hostile: '10.77.1.66',
  serverVip: '10.77.2.2',
  hostileVip: '10.77.2.66',
} as const;

/** Memory is scaled down so that it can be filled in seconds; all other bounds are the defaults. */
export const limits: Partial<EngineLimits> = { bufferBytes: 16 * 2 ** 20 };

/** Shorter than the defaults, for the same reason. */
export const timeouts: Partial<EngineTimeouts> = {
  handshakeMs: 1500,
  prefaceMs: 1500,
  connectResponseMs: 2000,
  pingIntervalMs: 1000,
  pingTimeoutMs: 3000,
  stalledStreamMs: 1500,
};

export interface VictimSetup {
  readonly rootPem: string;
  readonly leaves: Readonly<Record<'client' | 'server' | 'prey', Pick<TestLeaf, 'chainPem' | 'keyPem'>>>;
  /** Of the neighbour's application behind `server`. */
  readonly echoPort: number;
  /** Where the hostile peer takes tunnels. */
  readonly hostilePort: number;
}

/** `next`: another attack begins, and the log's rate limit has forgotten the last. */
export type VictimQuestion = 'state' | 'collect' | 'renew' | 'next';

export interface VictimAnswer {
  readonly ports: {
    readonly clientOutbound: number;
    readonly serverHbone: number;
    readonly preyOutbound: number;
  };
  readonly stats: EngineStats;
  /** Ends of tunnels and connections, and overloads, by name. */
  readonly events: Readonly<Record<string, number>>;
  /** Lines of the log without those of the access log. */
  readonly logLines: number;
  readonly lastLine: string;
  readonly accessLines: number;
}

export interface NeighbourReport {
  /** Microseconds of each round trip of 64 bytes since the last report. */
  readonly roundTripsUs: readonly number[];
  readonly connectsUs: readonly number[];
  readonly failures: readonly string[];
}
