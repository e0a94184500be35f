// A pod, a router and a peer as network namespaces, for tests that need root. Names are unique to this process.
//
//   pod 10.77.1.2, fd77:1::2 --- 10.77.1.1 router 10.77.2.1 --- 10.77.2.2, fd77:2::2 peer
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const support = dirname(fileURLToPath(import.meta.url));
const tool = join(support, 'netns-tool.py');

export const podIp = '10.77.1.2';
export const podIp6 = 'fd77:1::2';
export const nodeIp = '10.77.1.1';
export const nodeIp6 = 'fd77:1::1';
export const peerIp = '10.77.2.2';
export const peerIp6 = 'fd77:2::2';

/** Runs a program to its end; throws with its output if it fails. */
export function run(...command: readonly string[]): string {
  const [program = '', ...args] = command;
  const result = spawnSync(program, args, { encoding: 'utf8' });
  if (result.status !== 0)
    throw new Error(`${command.join(' ')}: ${result.stderr}${result.error?.message ?? ''}`);
  return result.stdout;
}

/** Fails, or skips where that is allowed, if the tests of this file cannot run here. */
export function requireRoot(context: Mocha.Context): void {
  if (process.getuid?.() === 0) return;
  if (process.env['CULVERT_REQUIRE_ROOT'] === '1') throw new Error('needs root');
  context.skip();
}

/** A program whose output is read line by line. */
export class Program {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #exited: Promise<void>;
  stderr = '';

  constructor(command: readonly string[]) {
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#child.stdin.on('error', () => {});
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`program ended: ${this.stderr}`);
    return next.value;
  }

  async ask(text: string): Promise<string> {
    this.#child.stdin.write(`${text}\n`);
    return await this.line();
  }

  /** Ends its input and waits for it to end by itself. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    await this.#exited;
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.stdin.destroy();
    this.#child.kill(signal);
    await this.#exited;
    this.#reader.close();
  }
}

let count = 0;

export class Topology {
  readonly pod: string;
  readonly router: string;
  readonly peer: string;
  readonly #programs: Program[] = [];

  private constructor() {
    const prefix = `cvc${process.pid}-${count++}`;
    this.pod = `${prefix}-pod`;
    this.router = `${prefix}-rtr`;
    this.peer = `${prefix}-peer`;
  }

  static create(): Topology {
    const made = new Topology();
    for (const name of [made.pod, made.router, made.peer]) {
      run('ip', 'netns', 'add', name);
      made.ip(name, 'link set lo up');
    }
    made.#connect(made.pod, 1);
    made.#connect(made.peer, 2);
    run(
      'ip',
      'netns',
      'exec',
      made.router,
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
    );
    return made;
  }

  #connect(name: string, network: number): void {
    run(
      'ip',
      '-n',
      name,
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      'name',
      `to${network}`,
      'netns',
      this.router,
    );
    this.ip(name, `addr add 10.77.${network}.2/24 dev eth0`);
    this.ip(name, `addr add fd77:${network}::2/64 dev eth0 nodad`);
    this.ip(this.router, `addr add 10.77.${network}.1/24 dev to${network}`);
    this.ip(this.router, `addr add fd77:${network}::1/64 dev to${network} nodad`);
    // Link-local addresses are given, not made after a while: what is compared must not change by itself.
    this.ip(name, 'link set eth0 addrgenmode none');
    this.ip(name, 'addr add fe80::2/64 dev eth0 nodad');
    this.ip(this.router, `link set to${network} addrgenmode none`);
    this.ip(this.router, `addr add fe80::1/64 dev to${network} nodad`);
    this.ip(this.router, `link set to${network} up`);
    this.ip(name, 'link set eth0 up');
    this.ip(name, `route add default via 10.77.${network}.1`);
    this.ip(name, `-6 route add default via fd77:${network}::1`);
  }

  ip(name: string, args: string): string {
    return run('ip', '-n', name, ...args.split(' '));
  }

  path(name: string): string {
    return `/var/run/netns/${name}`;
  }

  /** A program inside the namespace `name`, stopped at the latest by `destroy`. */
  start(name: string, ...command: readonly string[]): Program {
    return this.track(new Program(['ip', 'netns', 'exec', name, ...command]));
  }

  track(program: Program): Program {
    this.#programs.push(program);
    return program;
  }

  /** Starts an echo server, which answers each line with `<line> from <client address>`. Both families. Returns its port. */
  async serve(name: string, port = 0): Promise<number> {
    return Number(await this.start(name, 'python3', tool, 'echo', '::', String(port)).line());
  }

  async serveUdp(name: string, host: string): Promise<number> {
    return Number(await this.start(name, 'python3', tool, 'udp-echo', host, '0').line());
  }

  /** Connects, says `ping`, returns the answer or the name of the error. */
  async ask(name: string, host: string, port: number, ...options: readonly string[]): Promise<string> {
    return await this.start(name, 'python3', tool, 'ask', host, String(port), ...options).line();
  }

  async askUdp(name: string, host: string, port: number): Promise<string> {
    return await this.start(name, 'python3', tool, 'udp-ask', host, String(port)).line();
  }

  /** Sends a TCP SYN behind that many IPv6 extension headers, past every rule for TCP. */
  async sendRaw(name: string, from: string, to: string, extensions: number): Promise<string> {
    return await this.start(name, 'python3', tool, 'raw6', to, String(extensions), '--source', from).line();
  }

  /** A connection that stays: `ask` sends a line over it. */
  async hold(name: string, host: string, port: number, ...options: readonly string[]): Promise<Program> {
    const program = this.start(name, 'python3', tool, 'hold', host, String(port), ...options);
    const first = await program.line();
    if (!first.startsWith('connected')) throw new Error(`cannot connect to ${host}:${port}: ${first}`);
    return program;
  }

  /** All that capture may change in a namespace, as text. */
  snapshot(name: string): string {
    const settings = ['all', 'default', 'lo', 'eth0']
      .flatMap((link) => ['rp_filter', 'accept_local'].map((key) => `net.ipv4.conf.${link}.${key}`))
      .join(' ');
    return [
      run('ip', '-n', name, '-d', '-4', 'rule'),
      run('ip', '-n', name, '-d', '-6', 'rule'),
      run('ip', '-n', name, '-4', 'route', 'show', 'table', 'all'),
      run('ip', '-n', name, '-6', 'route', 'show', 'table', 'all').replace(/expires \d+sec/g, ''),
      run('ip', 'netns', 'exec', name, 'sysctl', ...settings.split(' ')),
      run('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'show'),
      run('ip', 'netns', 'exec', name, 'bpftool', 'net', 'show', 'dev', 'eth0'),
    ].join('\n---\n');
  }

  async destroy(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    for (const name of [this.pod, this.peer, this.router]) spawnSync('ip', ['netns', 'del', name]);
  }
}
