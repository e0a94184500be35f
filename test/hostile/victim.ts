// The process under attack: the real engine with the node proxy's own decisions, metrics and logs, without capture and
// without a controller. Run by VictimProcess; speaks with it by IPC. Three pods: `client` and `server`, which the
// neighbour uses, and `prey`, whose service is at a hostile peer.
import { open } from 'node:fs/promises';
import { startEngine, defaultEngineOptions } from '../../src/engine/engine.ts';
import type { Engine, EngineEvent, Listeners } from '../../src/engine/types.ts';
import { ip } from '../../src/mesh/address.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { formatIdentity } from '../../src/mesh/identity.ts';
import { identityOf } from '../../src/mesh/workload.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { AccessLog } from '../../src/ztunnel/access-log.ts';
import { ConnectionTable } from '../../src/ztunnel/connection-table.ts';
import { EngineEvents } from '../../src/ztunnel/engine-events.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { ConnectionMetrics } from '../../src/ztunnel/metrics.ts';
import { TunnelMetrics } from '../../src/ztunnel/tunnel-metrics.ts';
import { portOfDescriptor } from '../support/descriptor-port.ts';
import { service, workload } from '../support/mesh-objects.ts';
import { addresses, limits, timeouts } from './scene.ts';
import type { VictimAnswer, VictimQuestion, VictimSetup } from './scene.ts';

const workloads = {
  client: workload({ name: 'client', addresses: [ip(addresses.client)] }),
  prey: workload({ name: 'prey', addresses: [ip(addresses.prey)] }),
};

class Victim {
  readonly #engine: Engine;
  readonly #listeners: Readonly<Record<'client' | 'server' | 'prey', Listeners>>;
  /** The hostile peer is at another port than the pods here: its client has a proxy of its own. */
  readonly #proxies: { readonly node: EngineEvents; readonly prey: EngineEvents };
  readonly #preys = new Set<number>();
  readonly #setup: VictimSetup;
  #aheadMs = 0;
  #logLines = 0;
  #lastLine = '';
  #accessLines = 0;
  #events: Record<string, number> = {};

  static async start(setup: VictimSetup): Promise<Victim> {
    const netns = await open('/proc/self/ns/net', 'r');
    try {
      return new Victim(setup, netns.fd);
    } finally {
      await netns.close();
    }
  }

  private constructor(setup: VictimSetup, netns: number) {
    this.#setup = setup;
    const options = {
      ...defaultEngineOptions,
      threads: 2,
      limits: { ...defaultEngineOptions.limits, ...limits },
      timeouts: { ...defaultEngineOptions.timeouts, ...timeouts },
    };
    this.#engine = startEngine(options, (events) => this.#take(events));
    this.#renew();
    const add = (podId: 'client' | 'server' | 'prey'): Listeners =>
      this.#engine.addPod(podId, netns, { tlsIdentity: identityFor(podId), ipv6: true });
    this.#listeners = { client: add('client'), server: add('server'), prey: add('prey') };
    const snapshot = this.#snapshot();
    this.#proxies = {
      node: this.#proxy(snapshot, portOfDescriptor(this.#listeners.server.hbone)),
      prey: this.#proxy(snapshot, setup.hostilePort),
    };
  }

  /** Fresh SSL contexts from the same material: what holds an old one retires. */
  #renew(): void {
    for (const name of ['client', 'server', 'prey'] as const) {
      const { chainPem, keyPem } = this.#setup.leaves[name];
      this.#engine.setIdentity({
        name: identityFor(name),
        certificateChain: chainPem,
        privateKey: keyPem,
        roots: this.#setup.rootPem,
        trustDomains: ['cluster.local'],
      });
    }
  }

  /** Without capture the original destination has the listener's own port: services map it to the real one. */
  #snapshot(): MeshSnapshot {
    const behind = (name: string, vip: string, listener: number, targetPort: number) =>
      service({
        name,
        addresses: [{ network: '', ip: ip(vip) }],
        ports: [{ servicePort: portOfDescriptor(listener), targetPort, appProtocol: 'unknown' }],
      });
    const { client, prey } = this.#listeners;
    const shop = behind('server', addresses.serverVip, client.outbound, this.#setup.echoPort);
    const trap = behind('hostile', addresses.hostileVip, prey.outbound, 80);
    const endpoint = (of: typeof shop) => new Map([[`shop/${of.hostname}`, of.ports]]);
    return MeshSnapshot.empty().with({
      workloads: [
        ...Object.values(workloads),
        workload({ name: 'server', addresses: [ip(addresses.server)], services: endpoint(shop) }),
        workload({ name: 'hostile', addresses: [ip(addresses.hostile)], services: endpoint(trap) }),
      ],
      services: [shop, trap],
    });
  }

  #proxy(snapshot: MeshSnapshot, hbonePort: number): EngineEvents {
    const metrics = createMetrics({ processMetrics: false });
    const write = (line: string): void => {
      if (process.env['CULVERT_SHOW_LOG'] === '1') process.stderr.write(line);
      if (line.includes('"scope":"access"')) this.#accessLines += 1;
      else {
        this.#logLines += 1;
        this.#lastLine = line;
      }
    };
    const logger = createLogger({ level: 'info', format: 'json', write });
    return new EngineEvents({
      engine: this.#engine,
      table: new ConnectionTable({
        accessLog: new AccessLog({ logger, mode: 'all' }),
        metrics: new ConnectionMetrics(metrics),
        close: (ids, reason) => this.#engine.closeConnections(ids, reason),
        connectionsMax: 100_000,
      }),
      metrics: new TunnelMetrics(metrics),
      picker: new LoadBalancer({ clock: systemClock }),
      logger: logger.child('connections'),
      clock: this.#clock(),
      snapshot: () => snapshot,
      workloadOf: (podId) => snapshot.workload(`test//Pod/shop/${podId}`),
      settingsOf: () => undefined,
      hasIdentity: () => true,
      hbonePort,
      keepSourceAddress: true,
      waitMs: 1000,
      waitingMax: 8192,
      closed: () => undefined,
    });
  }

  /** Both kinds of time jump ahead when an attack is over: the log's limit has then forgotten it. */
  #clock(): Clock {
    return {
      now: () => systemClock.now() + this.#aheadMs,
      monotonic: () => systemClock.monotonic() + this.#aheadMs,
      after: (ms, callback) => systemClock.after(ms, callback),
    };
  }

  #take(events: readonly EngineEvent[]): void {
    for (const event of events) {
      this.#count(event);
      this.#ofPrey(event) ? this.#proxies.prey.handle([event]) : this.#proxies.node.handle([event]);
    }
  }

  #ofPrey(event: EngineEvent): boolean {
    if (event.kind === 'overload') return false;
    if ('podId' in event) {
      if (event.podId === 'prey' && 'id' in event) this.#preys.add(event.id);
      return event.podId === 'prey';
    }
    const own = this.#preys.has(event.id);
    if (event.kind === 'closed') this.#preys.delete(event.id);
    return own;
  }

  #count(event: EngineEvent): void {
    const add = (name: string): void => void (this.#events[name] = (this.#events[name] ?? 0) + 1);
    if (event.kind === 'tunnelDown') add(`tunnelDown ${event.direction} ${event.reason}`);
    else if (event.kind === 'closed') add(`closed ${event.reason}`);
    else if (event.kind === 'overload') add(`overload ${event.queue}`);
  }

  ask(question: VictimQuestion): VictimAnswer {
    if (question === 'renew') this.#renew();
    if (question === 'next') this.#aheadMs += 60_000;
    if (question === 'collect') globalThis.gc?.();
    const { client, server, prey } = this.#listeners;
    return {
      ports: {
        clientOutbound: portOfDescriptor(client.outbound),
        serverHbone: portOfDescriptor(server.hbone),
        preyOutbound: portOfDescriptor(prey.outbound),
      },
      stats: this.#engine.stats(),
      events: this.#events,
      logLines: this.#logLines,
      lastLine: this.#lastLine,
      accessLines: this.#accessLines,
    };
  }
}

function identityFor(name: string): string {
  return formatIdentity(identityOf(workload({ name })));
}

process.once('message', (setup: VictimSetup) => {
  void Victim.start(setup).then((victim) => {
    process.on('message', (question: VictimQuestion) => process.send?.(victim.ask(question)));
    process.send?.(victim.ask('state'));
  });
});
process.on('disconnect', () => process.exit());
