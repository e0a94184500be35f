// What the table shows: connections come and go many times a second, flows stay. A flow is everything that one
// workload sends to one destination in one way, with one outcome.

/** How a flow is carried; `node`: between two pods of one node, without a wire. */
export type Link = 'mTLS' | 'node' | 'plain';

/** A connection as a node reported it, open or ended. */
export interface ObservedConnection {
  /** Unique over all nodes and for all time. */
  readonly key: string;
  readonly from: string;
  /** `cart:8080`. */
  readonly to: string;
  /** `shop/frontend`: the identity proven by the client; empty if none was. */
  readonly identity: string;
  readonly link: Link;
  /** Payload bytes of both directions so far. */
  readonly bytes: number;
  readonly open: boolean;
  /** `allowed`, or why not: `denied by shop/cart-readers`. */
  readonly outcome: string;
}

export interface FlowRow {
  readonly from: string;
  readonly to: string;
  readonly identity: string;
  readonly link: Link;
  readonly connections: number;
  readonly open: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly outcome: string;
  /** Milliseconds since something last happened on it. */
  readonly quietMs: number;
}

export interface FlowHistoryOptions {
  /** A flow that was quiet for so long is forgotten. */
  readonly forgetMs: number;
  readonly flowsMax: number;
  /** Ended connections whose final count may still be reported again. */
  readonly connectionsMax: number;
}

interface Flow {
  readonly row: Omit<FlowRow, 'connections' | 'open' | 'bytes' | 'bytesPerSecond' | 'quietMs'>;
  connections: number;
  open: number;
  bytes: number;
  /** Byte counts of the last few seconds, oldest first. */
  samples: readonly { readonly ms: number; readonly bytes: number }[];
  bytesPerSecond: number;
  lastMs: number;
}

/** Rates are means over this time: a flow of one request a second shall not flicker. */
const rateWindowMs = 3000;
const defaults: FlowHistoryOptions = { forgetMs: 15_000, flowsMax: 200, connectionsMax: 20_000 };

/** Gathers connections into flows. Time is passed in: milliseconds of any clock that does not jump. */
export class FlowHistory {
  readonly #options: FlowHistoryOptions;
  readonly #flows = new Map<string, Flow>();
  /** What each connection has added to its flow. */
  readonly #counted = new Map<string, number>();

  constructor(options: Partial<FlowHistoryOptions> = {}) {
    this.#options = { ...defaults, ...options };
  }

  /** Takes what all nodes report now: every open connection, and those that ended since the last time. */
  observe(nowMs: number, connections: readonly ObservedConnection[]): void {
    for (const flow of this.#flows.values()) flow.open = 0;
    for (const connection of connections) this.#add(nowMs, connection);
    for (const [key, flow] of this.#flows) {
      const recent = flow.samples.filter((sample) => nowMs - sample.ms <= rateWindowMs);
      const first = recent[0];
      flow.bytesPerSecond =
        first === undefined ? 0 : ((flow.bytes - first.bytes) / (nowMs - first.ms)) * 1000;
      flow.samples = [...recent, { ms: nowMs, bytes: flow.bytes }];
      if (nowMs - flow.lastMs > this.#options.forgetMs) this.#flows.delete(key);
    }
    trim(this.#counted, this.#options.connectionsMax);
  }

  /** Sorted by source, destination and outcome, so that rows do not jump. */
  rows(nowMs: number): readonly FlowRow[] {
    const rows = [...this.#flows.values()].map(
      ({ row, lastMs, connections, open, bytes, bytesPerSecond }) => ({
        ...row,
        connections,
        open,
        bytes,
        bytesPerSecond,
        quietMs: nowMs - lastMs,
      }),
    );
    return rows.sort(
      (a, b) => compare(a.from, b.from) || compare(a.to, b.to) || compare(a.outcome, b.outcome),
    );
  }

  #add(nowMs: number, connection: ObservedConnection): void {
    const { from, to, identity, link, outcome } = connection;
    const key = [from, to, identity, link, outcome].join('\0');
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      if (this.#flows.size >= this.#options.flowsMax) return;
      const row = { from, to, identity, link, outcome };
      flow = { row, connections: 0, open: 0, bytes: 0, samples: [], bytesPerSecond: 0, lastMs: nowMs };
      this.#flows.set(key, flow);
    }
    const before = this.#counted.get(connection.key);
    const added = connection.bytes - (before ?? 0);
    this.#counted.delete(connection.key); // to the end: what was seen last is trimmed last
    this.#counted.set(connection.key, connection.bytes);
    if (before === undefined) flow.connections += 1;
    if (connection.open) flow.open += 1;
    if (connection.open || before === undefined || added > 0) flow.lastMs = nowMs;
    flow.bytes += Math.max(0, added);
  }
}

function trim(map: Map<string, number>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
