// Where the benches happen: a mesh of two nodes with a client and a server for each side, the rivals beside Culvert.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Mesh } from '../../../src/playground/mesh.ts';
import type { PlaygroundProcess } from '../../../src/playground/process.ts';
import { processesIn, run } from '../../../src/playground/topology/network.ts';
import { envoyPorts, startEnvoyRival } from './envoy.ts';
import { haproxyPorts, startHaproxyRival } from './haproxy.ts';
import type { Extras, Service, Side } from './manifest.ts';
import { benchManifests, clientPod, podAddress, ports, serverPod } from './manifest.ts';
import { mainThreadCpuSeconds, processCpuSeconds, processMemory, resetPeak } from './processes.ts';
import type { ProcessMemory } from './processes.ts';
import type { Tools } from './tools.ts';

export interface WorldOptions {
  readonly tools: Tools;
  readonly sides: readonly Side[];
  /** Pods beside a client and a server of each side. */
  readonly extras?: Extras;
  /** Flags of the ztunnels beside those of a playground. */
  readonly ztunnelFlags?: Readonly<Record<string, string>>;
  /** Every connection gets a tunnel, or a session, of its own. Culvert's part of it is a flag. */
  readonly cold?: boolean;
  readonly progress: (step: string) => void;
}

/** Connections that are open and idle until they are closed. */
export interface Hold {
  close(): Promise<void>;
}

/** Many short connections: ports that wait for stray packets are used again, as busy machines are set up. */
const settings =
  'echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse; echo 20000 65000 > /proc/sys/net/ipv4/ip_local_port_range';

const living = new Set<World>();

/** Ends all that runs, for a signal. */
export async function closeWorlds(): Promise<void> {
  await Promise.all([...living].map((world) => world.close()));
}

export class World {
  readonly mesh: Mesh;
  readonly #options: WorldOptions;
  readonly #sample: string;
  readonly #rivals = new Map<Side, readonly PlaygroundProcess[]>();

  private constructor(mesh: Mesh, sample: string, options: WorldOptions) {
    this.mesh = mesh;
    this.#sample = sample;
    this.#options = options;
  }

  /** Resolves when every side has answered; on failure all is removed again. */
  static async start(options: WorldOptions): Promise<World> {
    const sample = await mkdtemp(join(tmpdir(), 'culvert-bench-'));
    try {
      await writeFile(join(sample, 'bench.yaml'), benchManifests(options.tools.load, options.extras ?? {}));
      const mesh = await Mesh.start({
        sample,
        marker: '',
        certificateLifetime: '24h',
        drainTimeout: '1s',
        program: options.tools.culvert,
        ztunnelFlags: { 'audit-interval': '30s', ...options.ztunnelFlags }, // as it is shipped
        progress: () => undefined,
      });
      const world = new World(mesh, sample, options);
      living.add(world);
      try {
        await world.#startAll();
        return world;
      } catch (error) {
        await world.close();
        throw error;
      }
    } catch (error) {
      await rm(sample, { recursive: true, force: true });
      throw error;
    }
  }

  async #startAll(): Promise<void> {
    const { mesh } = this;
    const { tools, sides, cold = false } = this.#options;
    for (const pod of mesh.shop.pods)
      await run('nsenter', [`--net=/run/netns/${mesh.netns(pod.name)}`, 'sh', '-c', settings]);
    await mesh.startContainers();
    if (sides.includes('envoy'))
      this.#rivals.set('envoy', await startEnvoyRival({ program: tools.envoy, mesh, cold }));
    if (sides.includes('haproxy'))
      this.#rivals.set(
        'haproxy',
        await startHaproxyRival({ program: tools.haproxy, mesh, cold, filesMax: tools.filesMax }),
      );
    await this.#setApart();
    this.#options.progress(`ready to compare ${sides.join(', ')}`);
    for (const side of sides) await this.#answers(side);
  }

  /** Every proxy and server as a container of its own. */
  async #setApart(): Promise<void> {
    const { groups } = this.#options.tools;
    const ztunnels = this.proxies('culvert').map(({ pid }) => pid);
    const inPods = await processesIn(this.mesh.shop.pods.map(({ name }) => this.mesh.netns(name)));
    for (const pid of [...ztunnels, ...inPods]) await groups?.setApart(pid);
  }

  /** Waits until the echo server of a side answers. */
  async #answers(side: Side): Promise<void> {
    const deadline = Date.now() + 15_000;
    for (;;) {
      const failure = await this.load(side, 'echo', 'connect', ['0.01', '0']).then(
        () => undefined,
        (error: Error) => error,
      );
      if (failure === undefined) return;
      const ended = this.proxies(side).find((proxy) => !proxy.running);
      if (Date.now() > deadline || ended !== undefined)
        throw new Error(`the ${side} side does not answer: ${failure.message}${await this.#logs(side)}`);
      await delay(50);
    }
  }

  /** The end of what the proxies of a side have said. */
  async #logs(side: Side): Promise<string> {
    const logs = this.proxies(side).map(({ logFile }) => readFile(logFile, 'utf8').catch(() => ''));
    return (await Promise.all(logs)).map((text) => `\n${text.slice(-2000)}`).join('');
  }

  /** Where a client of that side dials to reach the far server. */
  target(side: Side, service: Service): readonly [host: string, port: string] {
    if (side === 'envoy') return ['127.0.0.1', String(envoyPorts[service])];
    if (side === 'haproxy') return ['127.0.0.1', String(haproxyPorts[service])];
    return [podAddress(serverPod(side)), String(ports[service])];
  }

  /** Runs the load program in the client's pod to its end; returns what it printed. Throws if it fails. */
  async load(
    side: Side,
    service: Service,
    what: string,
    args: readonly string[],
  ): Promise<Readonly<Record<string, number>>> {
    return await this.loadTo(clientPod(side), this.target(side, service), what, args);
  }

  /** The same from any pod to any address. */
  async loadTo(
    pod: string,
    target: readonly [host: string, port: string],
    what: string,
    args: readonly string[],
  ): Promise<Readonly<Record<string, number>>> {
    const command = [this.#options.tools.load, what, ...target, ...args];
    const result = await this.mesh.exec(pod, command, { timeoutMs: 30_000 });
    if (result.code !== 0)
      throw new Error(`${command.slice(1).join(' ')} in ${pod}: ${result.stderr || 'no answer in 30 s'}`);
    return JSON.parse(result.stdout) as Record<string, number>;
  }

  /** The proxies of a side: the client's, the server's. A direct connection has none. */
  proxies(side: Side): readonly PlaygroundProcess[] {
    if (side === 'culvert') return this.mesh.shop.nodes.map((node) => this.mesh.ztunnel(node));
    return this.#rivals.get(side) ?? [];
  }

  /** Their process ids; for a ztunnel its own, not that of its holder. */
  async pids(side: Side): Promise<readonly number[]> {
    if (side !== 'culvert') return this.proxies(side).map(({ pid }) => pid);
    return await Promise.all(this.mesh.shop.nodes.map((node) => this.mesh.ztunnelPid(node)));
  }

  /** Seconds of CPU that both proxies have used. */
  async cpuSeconds(side: Side): Promise<number> {
    const used = await Promise.all((await this.pids(side)).map(processCpuSeconds));
    return used.reduce((sum, seconds) => sum + seconds, 0);
  }

  /** Seconds of CPU that the JavaScript thread of the client's ztunnel has used. */
  scriptSeconds(): Promise<number> {
    return mainThreadCpuSeconds(this.proxies('culvert')[0]?.pid ?? 0);
  }

  /** Memory of the client's and the server's proxy. */
  async memory(side: Side): Promise<readonly ProcessMemory[]> {
    return await Promise.all((await this.pids(side)).map(processMemory));
  }

  /** What is held from now on counts for the peaks of the side's proxies. */
  async resetPeaks(side: Side): Promise<void> {
    await Promise.all((await this.pids(side)).map(resetPeak));
  }

  /** Opens idle connections to the far echo server; resolves when each has been used once. */
  async hold(side: Side, connections: number, pod = clientPod(side)): Promise<Hold> {
    const [abort, opened] = [new AbortController(), Promise.withResolvers<void>()];
    const command = [this.#options.tools.load, 'hold', ...this.target(side, 'echo'), String(connections)];
    const holding = this.mesh.exec(pod, command, {
      timeoutMs: 600_000,
      signal: abort.signal,
      onOutput: () => opened.resolve(),
    });
    const early = holding.then(({ stderr }) => {
      throw new Error(`${pod} does not hold ${connections} connections: ${stderr}`);
    });
    await Promise.race([opened.promise, early]);
    early.catch(() => undefined); // ended by `close`
    return {
      close: async () => {
        abort.abort();
        await holding;
      },
    };
  }

  async close(): Promise<void> {
    living.delete(this);
    for (const rivals of this.#rivals.values()) await Promise.all(rivals.map((rival) => rival.close(1000)));
    await this.mesh.close();
    await rm(this.#sample, { recursive: true, force: true });
  }
}
