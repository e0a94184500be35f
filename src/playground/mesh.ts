// A whole mesh on one machine: the network, one controller, a ztunnel per node, the pods' programs. Owns all of it:
// `close` leaves nothing behind, and a run that could not close is removed at the next start.
import { randomBytes } from 'node:crypto';
import { chown, cp, mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { adminGet } from './admin.ts';
import type { DaemonOptions, RunPaths, SameNode } from './daemons.ts';
import { controllerCommand, controllerSocket, nodePaths, runPaths, ztunnelCommand } from './daemons.ts';
import { PlaygroundError } from './errors.ts';
import type { ExecOptions, ExecResult } from './exec.ts';
import { execCaptured } from './exec.ts';
import type { PodHandover } from './handover.ts';
import { handOverPod, handOverPods, withdrawPod } from './handover.ts';
import { listProcesses } from '../runtime/process-registry.ts';
import { PlaygroundProcess } from './process.ts';
import type { RunState } from './run-directory.ts';
import { openRun, removeDeadRuns, removeRun, runDirectory } from './run-directory.ts';
import type { Shop, ShopPod } from './shop/manifest.ts';
import { hostsFile, readShop } from './shop/manifest.ts';
import { createNetwork } from './topology/network.ts';
import { netnsName, planNetwork, routerInterface } from './topology/plan.ts';
import { Wiretap } from './wiretap.ts';

export interface MeshOptions extends DaemonOptions {
  /** Manifests to copy into the run and serve from there. */
  readonly sample: string;
  /** Serve this directory itself instead of a copy; the pods still come from `sample` if it is empty. */
  readonly manifests?: string;
  /** Text that every page and greeting of the pods' programs carries, for a capture to look for. */
  readonly marker: string;
  /** Told of each step. */
  readonly progress: (step: string) => void;
}

export const sampleManifests = fileURLToPath(new URL('./shop/manifests', import.meta.url));
const programs = fileURLToPath(new URL('./shop/programs', import.meta.url));
const startTimeoutMs = 30_000;

export class Mesh {
  readonly state: RunState;
  readonly paths: RunPaths;
  readonly shop: Shop;
  readonly #options: MeshOptions;
  readonly #ztunnels = new Map<string, PlaygroundProcess>();
  readonly #containers: PlaygroundProcess[] = [];
  readonly #taps: Wiretap[] = [];
  #controller: PlaygroundProcess | undefined;
  #closing: Promise<void> | undefined;

  private constructor(state: RunState, paths: RunPaths, shop: Shop, options: MeshOptions) {
    this.state = state;
    this.paths = paths;
    this.shop = shop;
    this.#options = options;
  }

  /** Everything up and every pod handed over; on failure all is removed again and the error says what failed. */
  static async start(options: MeshOptions): Promise<Mesh> {
    for (const id of await removeDeadRuns()) options.progress(`removed what is left of ${id}, which crashed`);
    const shop = await readShop(options.sample);
    const members = ['router', ...shop.nodes, ...shop.pods.map((pod) => pod.name)];
    const state = await openRun((id) => ({
      netns: members.map((member) => netnsName(id, member)),
      directories: [runPaths(id, '').pins],
    }));
    const paths = runPaths(state.id, runDirectory(state.id), options.manifests);
    const mesh = new Mesh(state, paths, shop, options);
    try {
      await mesh.#start();
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { progress, sample, manifests } = this.#options;
    const { paths, shop, state } = this;
    for (const directory of [paths.logs, paths.programs]) await mkdir(directory, { recursive: true });
    if (manifests === undefined) await copyForUser(sample, paths.manifests);
    await cp(programs, paths.programs, { recursive: true });
    await this.#writeTokens();

    progress(`network: ${shop.nodes.length} nodes and ${shop.pods.length} pods as namespaces ${state.id}-*`);
    for (const pod of shop.pods) await this.#writeNames(pod);
    await createNetwork(planNetwork(state.id, shop.nodes, shop.pods));

    progress('controller: reads the manifests, serves configuration and certificates');
    await this.startController();
    progress(`ztunnel: one on each of ${shop.nodes.join(', ')}`);
    await Promise.all(shop.nodes.map((node) => this.startZtunnel(node)));

    progress('pods: handed to their nodes before their programs start');
    await Promise.all(shop.nodes.map((node) => this.handOver(node)));
  }

  pod(name: string): ShopPod {
    const found = this.shop.pods.find((pod) => pod.name === name);
    if (found === undefined)
      throw new PlaygroundError('ERR_CULVERT_PLAYGROUND_MANIFEST', `there is no pod ${name}`);
    return found;
  }

  netns(member: string): string {
    return netnsName(this.state.id, member);
  }

  adminSocket(node: string): string {
    return nodePaths(this.paths, node).adminSocket;
  }

  /** How the ztunnels carry what stays on a node. */
  get sameNode(): SameNode {
    return this.#options.sameNode ?? 'tunnel';
  }

  get controllerSocket(): string {
    return controllerSocket(this.paths);
  }

  get controller(): PlaygroundProcess | undefined {
    return this.#controller;
  }

  ztunnel(node: string): PlaygroundProcess {
    const process = this.#ztunnels.get(node);
    if (process === undefined)
      throw new PlaygroundError('ERR_CULVERT_PLAYGROUND_PROCESS', `no ztunnel was started on ${node}`);
    return process;
  }

  /** Starts the controller and waits until it serves. */
  async startController(): Promise<void> {
    this.#controller = await PlaygroundProcess.start({
      name: 'controller',
      netns: this.netns('router'),
      view: 'node',
      command: controllerCommand(this.paths, this.#options),
      cwd: this.paths.directory,
      logFile: join(this.paths.logs, 'controller.log'),
    });
    await this.#ready(this.#controller, this.controllerSocket);
  }

  /** Starts a node's ztunnel (again) and waits until it serves. */
  async startZtunnel(node: string): Promise<void> {
    const holder = await PlaygroundProcess.start({
      name: `ztunnel of ${node}`,
      netns: this.netns(node),
      view: 'node',
      command: ztunnelCommand(this.paths, node, this.#options),
      env: { NODE_COMPILE_CACHE: join(this.paths.directory, 'compile-cache') },
      cwd: this.paths.directory,
      logFile: this.ztunnelLog(node),
    });
    this.#ztunnels.set(node, holder);
    await this.#ready(holder, this.adminSocket(node));
  }

  /** The process id of the ztunnel that serves a node, which is a child of `ztunnel(node)`: the holder. */
  async ztunnelPid(node: string): Promise<number> {
    const found = (await listProcesses(this.paths.directory)).find(
      (record) => record.kind === 'ztunnel' && record.name === node,
    );
    if (found !== undefined) return found.pid;
    throw new PlaygroundError('ERR_CULVERT_PLAYGROUND_PROCESS', `no ztunnel serves ${node} now`);
  }

  /** Kills a node's ztunnel and leaves its holder. Returns the process id. */
  async killZtunnel(node: string): Promise<number> {
    const pid = await this.ztunnelPid(node);
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Asks the holder to replace a node's ztunnel. */
  replaceZtunnel(node: string): void {
    process.kill(this.ztunnel(node).pid, 'SIGHUP');
  }

  ztunnelLog(node: string): string {
    return join(this.paths.logs, `ztunnel-${node}.log`);
  }

  /** What a CNI plugin does when a ztunnel has started: names all enrolled pods of the node. Resolves when captured. */
  async handOver(node: string): Promise<void> {
    const pods = this.shop.pods.filter((pod) => pod.enrolled && pod.node === node);
    await handOverPods(
      nodePaths(this.paths, node).podsSocket,
      pods.map((pod) => this.#handover(pod)),
    );
  }

  /** What a CNI plugin does when a pod starts. */
  async addPod(pod: ShopPod): Promise<void> {
    await handOverPod(nodePaths(this.paths, pod.node).podsSocket, this.#handover(pod));
  }

  /** What it does when a pod has gone. */
  async removePod(pod: ShopPod): Promise<void> {
    await withdrawPod(nodePaths(this.paths, pod.node).podsSocket, pod.uid);
  }

  #handover({ uid, namespace, name }: ShopPod): PodHandover {
    return { uid, namespace, name, netns: `/run/netns/${this.netns(name)}` };
  }

  /** Runs a command in a pod to its end. */
  exec(pod: string, command: readonly string[], options: Partial<ExecOptions> = {}): Promise<ExecResult> {
    return execCaptured(this.netns(pod), command, {
      timeoutMs: 10_000,
      cwd: this.paths.directory,
      ...options,
    });
  }

  /** Captures all TCP that passes between this node and the router. */
  async tap(node: string): Promise<Wiretap> {
    const file = join(this.paths.directory, `wire-${randomBytes(4).toString('hex')}.pcap`);
    const tap = await Wiretap.start(this.netns('router'), routerInterface(node), file);
    this.#taps.push(tap);
    return tap;
  }

  /** Replaces a manifest's text, at once as editors do: a new file takes the old one's name. */
  async edit(file: string, change: (text: string) => string): Promise<void> {
    const path = join(this.paths.manifests, file);
    const next = change(await readFile(path, 'utf8'));
    await writeFile(`${path}~`, next);
    await rename(`${path}~`, path);
  }

  /** Ends everything and removes it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const tap of this.#taps) await tap.close();
    await Promise.all(this.#containers.map((container) => container.close(500)));
    await Promise.all([...this.#ztunnels.values()].map((ztunnel) => ztunnel.close(5000)));
    await this.#controller?.close(5000);
    await removeRun(this.state);
  }

  /** One token per node: the controller signs for a node only what runs on it. */
  async #writeTokens(): Promise<void> {
    const entries: object[] = [];
    for (const node of this.shop.nodes) {
      const token = randomBytes(24).toString('base64url');
      await writeFile(nodePaths(this.paths, node).tokenFile, token, { mode: 0o600 });
      entries.push({ token, namespace: 'culvert-system', serviceAccount: 'ztunnel', node });
    }
    const path = join(this.paths.directory, 'tokens.yaml');
    await writeFile(path, JSON.stringify(entries, null, 2), { mode: 0o600 }); // JSON is YAML
  }

  /** `ip netns exec` shows these files to the pod's programs as its /etc/hosts and /etc/resolv.conf. */
  async #writeNames(pod: ShopPod): Promise<void> {
    const directory = `/etc/netns/${this.netns(pod.name)}`;
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'hosts'), hostsFile(this.shop, pod.namespace));
    await writeFile(
      join(directory, 'resolv.conf'),
      '# names are in /etc/hosts\noptions attempts:1 timeout:1\n',
    );
  }

  /** Starts what the pods' manifests say they run. */
  async startContainers(): Promise<void> {
    this.#options.progress('programs: started in their pods');
    await Promise.all(this.shop.pods.map((pod) => this.#startContainers(pod)));
  }

  async #startContainers(pod: ShopPod): Promise<void> {
    const home = join(this.paths.directory, 'pods', pod.name);
    await mkdir(home, { recursive: true });
    await cp(this.paths.programs, join(home, 'programs'), { recursive: true });
    await writeFile(join(home, 'index.html'), `hello from ${pod.name}, ${this.#options.marker}\n`);
    for (const { name, command } of pod.containers)
      this.#containers.push(
        await PlaygroundProcess.start({
          name: `${pod.name}/${name}`,
          netns: this.netns(pod.name),
          view: 'pod',
          command,
          env: { HOME: home, GREETING: `ledger ready, ${this.#options.marker}` },
          cwd: home,
          logFile: join(this.paths.logs, `${pod.name}-${name}.log`),
        }),
      );
  }

  /** Polls readiness; a process that ends instead is reported with the end of its log. */
  async #ready(process: PlaygroundProcess, socket: string): Promise<void> {
    const deadline = Date.now() + startTimeoutMs;
    let waitingFor = 'its admin endpoint';
    while (Date.now() < deadline) {
      if (!process.running) throw await startError(process, 'ended');
      const answer = await adminGet(socket, '/healthz/ready').catch(() => undefined);
      if (answer?.status === 200) return;
      if (answer !== undefined) waitingFor = answer.body.trim();
      await delay(50);
    }
    throw await startError(process, `is not ready: ${waitingFor}`);
  }
}

/** Whoever ran `sudo` shall be able to edit the copy. */
async function copyForUser(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
  const [uid, gid] = [Number(process.env['SUDO_UID']), Number(process.env['SUDO_GID'])];
  if (!Number.isInteger(uid) || !Number.isInteger(gid)) return;
  await chown(to, uid, gid);
  for (const name of await readdir(to)) await chown(join(to, name), uid, gid);
}

async function startError(process: PlaygroundProcess, what: string): Promise<PlaygroundError> {
  const log = (await readFile(process.logFile, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-12);
  return new PlaygroundError(
    'ERR_CULVERT_PLAYGROUND_PROCESS',
    [`${process.name} ${what}; the end of its log:`, ...log].join('\n  '),
  );
}
