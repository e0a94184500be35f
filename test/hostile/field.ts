// Where it happens: the process under attack, the neighbour, the hostile server, and the measuring of one attack.
import { once } from 'node:events';
import net from 'node:net';
import { ip } from '../../src/mesh/address.ts';
import { TestAuthority } from '../support/certificates.ts';
import type { TestLeaf } from '../support/certificates.ts';
import { sanitized } from '../support/mesh.ts';
import type { Attack, Lured, Scene } from './attack.ts';
import type { Figures, Latency } from './figures.ts';
import { HostileServer } from './hostile-server.ts';
import { NeighbourProcess, VictimProcess } from './processes.ts';
import { addresses } from './scene.ts';
import type { NeighbourReport, VictimAnswer } from './scene.ts';

const megabyte = 2 ** 20;
const quietMs = 200;
const settleMs = 8000;

export interface Suffered {
  readonly figures: Figures;
  readonly before: VictimAnswer;
  readonly after: VictimAnswer;
  readonly logLines: number;
}

export class Field {
  readonly #authority: TestAuthority;
  readonly #leaf: TestLeaf;
  readonly #hostile: HostileServer;
  readonly #victim: VictimProcess;
  readonly #neighbour: NeighbourProcess;
  readonly #ports: VictimAnswer['ports'];
  readonly #lured = new Set<net.Socket>();
  #sources = 0;

  static async start(): Promise<Field> {
    const authority = await TestAuthority.create();
    const leaf = (name: string): Promise<TestLeaf> =>
      authority.issue(`spiffe://cluster.local/ns/shop/sa/${name}`);
    const hostile = await HostileServer.start(await leaf('hostile'));
    const neighbour = await NeighbourProcess.start();
    const victim = await VictimProcess.start({
      rootPem: authority.rootPem,
      leaves: { client: await leaf('client'), server: await leaf('server'), prey: await leaf('prey') },
      echoPort: neighbour.echoPort,
      hostilePort: hostile.port,
    });
    const { ports } = await victim.state();
    neighbour.begin(ports.clientOutbound);
    const field = new Field(authority, await leaf('taken-over'), hostile, victim, neighbour, ports);
    await field.#warmUp();
    return field;
  }

  private constructor(
    authority: TestAuthority,
    leaf: TestLeaf,
    hostile: HostileServer,
    victim: VictimProcess,
    neighbour: NeighbourProcess,
    ports: VictimAnswer['ports'],
  ) {
    this.#authority = authority;
    this.#leaf = leaf;
    this.#hostile = hostile;
    this.#victim = victim;
    this.#neighbour = neighbour;
    this.#ports = ports;
  }

  async close(): Promise<void> {
    this.#hostile.close();
    await this.#neighbour.close();
    await this.#victim.close();
  }

  /** The first seconds of a process are not what later ones are compared with. */
  async #warmUp(): Promise<void> {
    for (let seen = 0; seen < 500;) {
      await elapse(quietMs);
      const { roundTripsUs, failures } = await this.#neighbour.report();
      if (failures.length > 0) throw new Error(failures[0]);
      seen += roundTripsUs.length;
    }
    await this.#victim.state('collect');
  }

  /** Attacks, and measures before, during and afterwards. */
  async suffer(attack: Attack): Promise<Suffered> {
    await this.#neighbour.report();
    await elapse(quietMs);
    const quiet = await this.#neighbour.report();
    await this.#victim.state('collect');
    const before = await this.#victim.state('next');
    const from = this.#victim.usage();
    const started = performance.now();
    let peak = from.residentBytes;
    let over = false;
    const watch = async (): Promise<void> => {
      for (; !over; await elapse(20)) peak = Math.max(peak, this.#victim.usage().residentBytes);
    };
    const watching = watch();
    let ended: string;
    try {
      ended = await attack.run(this.#scene());
    } finally {
      over = true;
      await watching;
    }
    const seconds = (performance.now() - started) / 1000;
    const to = this.#victim.usage();
    // A neighbour that was stalled reports late: its worst round trip must be in.
    await elapse(quietMs);
    const busy = await this.#neighbour.report();
    this.#hostile.behave((socket) => socket.destroy());
    for (const socket of this.#lured) socket.destroy();
    const { after, residentBytes } = await this.#settled(attack, before, from.residentBytes);
    const figures: Figures = {
      name: attack.name,
      group: attack.group,
      ended,
      seconds,
      engineCores: (to.engineSeconds - from.engineSeconds) / seconds,
      processCores: (to.allSeconds - from.allSeconds) / seconds,
      megabytes: {
        peak: (Math.max(peak, to.residentBytes) - from.residentBytes) / megabyte,
        left: (residentBytes - from.residentBytes) / megabyte,
      },
      quiet: latencyOf(quiet),
      during: latencyOf(busy),
      neighbourFailures: [...quiet.failures, ...busy.failures],
      logLines: after.logLines - before.logLines,
    };
    return { figures, before, after, logLines: figures.logLines };
  }

  /** Until nothing of the attack is left, or the deadline says that something stays. */
  async #settled(
    attack: Attack,
    before: VictimAnswer,
    residentBytes: number,
  ): Promise<{ after: VictimAnswer; residentBytes: number }> {
    const deadline = performance.now() + settleMs * (sanitized ? 5 : 1);
    for (;;) {
      const after = await this.#victim.state('collect');
      const usage = this.#victim.usage();
      const tunnels = (of: VictimAnswer): number => of.stats.tunnelsInbound + of.stats.tunnelsOutbound;
      const gone =
        tunnels(after) <= tunnels(before) + (attack.tunnelsLeft ?? 0) &&
        after.stats.bufferedBytes < megabyte &&
        (attack.counter === undefined || attack.accessLog === true || after.logLines > before.logLines) &&
        usage.residentBytes - residentBytes < 8 * megabyte;
      if (gone || performance.now() > deadline) return { after, residentBytes: usage.residentBytes };
      await elapse(100);
    }
  }

  #scene(): Scene {
    return {
      hbone: { ip: ip(addresses.server), port: this.#ports.serverHbone },
      application: `${addresses.server}:${this.#neighbour.echoPort}`,
      authority: this.#authority,
      leaf: this.#leaf,
      hostile: this.#hostile,
      source: () => this.#nextSource(),
      lure: () => this.#lure(),
      state: () => this.#victim.state(),
      renew: async () => void (await this.#victim.state('renew')),
      times: (full) => (sanitized ? Math.ceil(full / 10) : full),
    };
  }

  #nextSource(): string {
    this.#sources += 1;
    return `10.77.${9 + Math.floor(this.#sources / 250)}.${(this.#sources % 250) + 1}`;
  }

  async #lure(): Promise<Lured> {
    const socket = net.connect({ host: addresses.hostileVip, port: this.#ports.preyOutbound });
    this.#lured.add(socket);
    const { promise: fate, resolve } = Promise.withResolvers<string>();
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve('end')).on('close', () => this.#lured.delete(socket));
    await once(socket, 'connect');
    socket.resume();
    return {
      fate,
      write: (data) => void socket.write(data),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      destroy: () => void socket.destroy(),
    };
  }
}

function latencyOf({ roundTripsUs, connectsUs }: NeighbourReport): Latency {
  const sorted = roundTripsUs.toSorted((a, b) => a - b);
  const at = (share: number): number => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0) / 1000;
  return { p50Ms: at(0.5), p99Ms: at(0.99), worstMs: Math.max(at(1), ...connectsUs.map((us) => us / 1000)) };
}

/** A measurement lasts as long as it lasts. */
function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
