// The life of a long-running process: services, endpoints, its own part, signals, drain, end. The same for all of them.
import { mkdir } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { keepMemoryPrivate } from '../engine/process.ts';
import type { AdminServerOptions, EndpointRoute, ListenAddress } from '../runtime/admin-server.ts';
import { AdminServer, jsonResponse } from '../runtime/admin-server.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import { Drain } from '../runtime/drain.ts';
import { CulvertError, messageOf } from '../runtime/errors.ts';
import type { Logger, LogLevel } from '../runtime/logger.ts';
import { standardError } from '../runtime/log-output.ts';
import { createLogger } from '../runtime/logger.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { checkPrivateDirectory } from '../runtime/private-files.ts';
import type { ProcessRecord } from '../runtime/process-registry.ts';
import { adminSocketPath, registerProcess } from '../runtime/process-registry.ts';
import { Readiness } from '../runtime/readiness.ts';
import type { HostPort } from '../runtime/settings.ts';
import { giveBackOnceReady } from '../runtime/startup-memory.ts';
import { Supervisor } from '../runtime/supervisor.ts';
import { WallClockWatch } from '../runtime/wall-clock.ts';
import { exitCodes } from './errors.ts';

/** What every process's settings have. */
export interface DaemonSettings {
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  readonly metricsAddress: HostPort;
  readonly readinessAddress: HostPort;
  readonly adminAddress: HostPort;
  readonly runDirectory: string;
  readonly drainTimeout: number;
  readonly debugging: boolean;
}

/** What a process's own part is given. */
export interface Services {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly drain: Drain;
  readonly supervisor: Supervisor;
}

/** A process's own part, running. */
export interface Daemon {
  readonly routes: readonly EndpointRoute[];
  /** Called when its endpoints are there for others to find. */
  reachable?(): Promise<void>;
  /** Takes nothing new and lets what is open end, at the latest when `drain.expired` aborts. */
  drain(drain: Drain): Promise<void>;
  close(): Promise<void> | void;
}

/** A process that may follow another of its name, and be followed. */
export interface Succession {
  /** Its predecessor runs: endpoints are taken from it when this process has started. */
  readonly takesOver: boolean;
  readonly superseded: Promise<void>;
}

export interface DaemonOptions {
  readonly kind: ProcessRecord['kind'];
  readonly name: string;
  readonly settings: DaemonSettings;
  /** The settings in force and where each came from, for GET /settings. */
  readonly described: Readonly<Record<string, { readonly value: string; readonly source: string }>>;
  readonly start: (services: Services) => Promise<Daemon>;
  readonly succession?: Succession;
}

/** Runs until a signal or POST /quitquitquit, then drains. Resolves to the exit code. */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const { kind, name, settings, succession } = options;
  const logger = createLogger({ level: settings.logLevel, format: settings.logFormat });
  const drain = new Drain(systemClock);
  const services: Services = {
    clock: systemClock,
    logger,
    metrics: createMetrics(),
    readiness: new Readiness(),
    drain,
    supervisor: new Supervisor(logger),
  };
  watchLog(logger, services.metrics);
  const ignoreSignals = onSignals(drain, settings.drainTimeout, logger);
  const starting = services.readiness.task('start');
  const closers: (() => Promise<void> | void)[] = [watchWallClock(logger, services.metrics)];
  try {
    // Before there is a key in memory.
    if (!settings.debugging) closers.push(keepKeys(logger));
    const socket = await openRunDirectory(settings.runDirectory, kind, name, logger);
    const endpoints = endpointsOf(settings, socket, succession !== undefined);
    const server = await startEndpoints(services, settings, succession?.takesOver ? noEndpoints : endpoints);
    server.admin.addRoute({
      method: 'GET',
      path: '/settings',
      summary: 'the settings in force and where each came from',
      handle: () => jsonResponse(options.described),
    });
    closers.push(() => server.close());
    const daemon = await options.start(services);
    closers.push(() => daemon.close());
    for (const route of daemon.routes) server.admin.addRoute(route);
    if (succession?.takesOver === true) await server.listen(endpoints);
    if (socket !== undefined) {
      const record = { kind, name, pid: process.pid, startedMs: Date.now(), adminSocket: socket };
      closers.push(await registerProcess(settings.runDirectory, record));
    }
    if (succession !== undefined)
      services.supervisor.run('the end of its endpoints', async () => {
        await succession.superseded;
        await server.yield();
      });
    await daemon.reachable?.();
    closers.push(giveBackOnceReady(services.readiness, services.clock));
    starting.done();
    // Not at the end, as it is written by default: a process that is killed has none, and it is the next one's head start.
    flushCompileCache();
    logger.info(`${kind} ${name} runs`, { admin: server.admin.addresses.join(' ') });
    await aborted(drain.signal);
    services.readiness.task('draining');
    await daemon.drain(drain);
    return exitCodes.ok;
  } catch (error) {
    report(logger, `${kind} cannot go on`, error);
    return exitCodes.no;
  } finally {
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        report(logger, `${kind} did not close cleanly`, error);
      }
    }
    ignoreSignals();
    logger.info(`${kind} ${name} has ended`);
    await standardError().flush(lastLinesMs);
  }
}

/** A reader of the log that has stalled keeps nobody from ending. */
const lastLinesMs = 500;

/** Lines that could not be written are counted, and told of as soon as one can be. */
function watchLog(logger: Logger, metrics: Metrics): void {
  const output = standardError();
  output.onRecovered = (lines) => logger.warn('log lines were dropped: nobody took them', { lines });
  const dropped = metrics
    .counter({
      name: 'culvert_log_lines_dropped_total',
      help: 'Log lines that were dropped because the disk was full or nobody read.',
    })
    .child({});
  const waiting = metrics
    .gauge({
      name: 'culvert_log_waiting_bytes',
      help: 'Log lines that wait to be written, of at most 1 MiB.',
    })
    .child({});
  metrics.onRender(() => {
    dropped.inc(output.dropped - dropped.value);
    waiting.set(output.waitingBytes);
  });
}

/** Core dumps, other processes of this user and the inspector would all show the private keys. */
function keepKeys(logger: Logger): () => void {
  keepMemoryPrivate();
  // Node opens its inspector to every user of the machine on this signal, unless somebody listens.
  const refuse = (): void => logger.warn('SIGUSR1: the inspector stays closed; see the setting debugging');
  process.on('SIGUSR1', refuse);
  return () => void process.off('SIGUSR1', refuse);
}

/** Whoever waits for a date has a watch of its own: this one tells the operator. */
function watchWallClock(logger: Logger, metrics: Metrics): () => void {
  const jumps = metrics
    .counter({
      name: 'culvert_wall_clock_jumps_total',
      help: 'How often the wall clock was set by a second or more, or the machine was suspended.',
    })
    .child({});
  const watch = new WallClockWatch({
    clock: systemClock,
    moved: (byMs) => {
      jumps.inc();
      logger.warn('the wall clock was set: certificates are judged by the new time', {
        by: `${Math.round(byMs / 1000)}s`,
      });
    },
  });
  return () => watch.close();
}

async function openRunDirectory(
  runDirectory: string,
  kind: ProcessRecord['kind'],
  name: string,
  logger: Logger,
): Promise<string | undefined> {
  if (runDirectory === '') return undefined;
  await mkdir(runDirectory, { recursive: true });
  await checkPrivateDirectory(runDirectory);
  const socket = adminSocketPath(runDirectory, kind, name);
  if (socket === undefined)
    logger.warn(
      `${runDirectory} is too long a path for a socket: \`culvert status\` will not find this ${kind}`,
    );
  return socket;
}

type Endpoints = AdminServerOptions['listen'];

const noEndpoints: Endpoints = { metrics: [], readiness: [], admin: [] };

/** `shared`: a successor listens on the same ports before this process leaves them. */
function endpointsOf(settings: DaemonSettings, socket: string | undefined, shared: boolean): Endpoints {
  const tcp = ({ host, port }: HostPort): ListenAddress => ({ kind: 'tcp', host, port, shared });
  return {
    metrics: [tcp(settings.metricsAddress)],
    readiness: [tcp(settings.readinessAddress)],
    admin: [
      tcp(settings.adminAddress),
      ...(socket === undefined ? [] : [{ kind: 'unix', path: socket } as const]),
    ],
  };
}

function startEndpoints(
  services: Services,
  settings: DaemonSettings,
  listen: Endpoints,
): Promise<AdminServer> {
  return AdminServer.start({
    metrics: services.metrics,
    readiness: services.readiness,
    logger: services.logger.child('admin'),
    listen,
    quit: () => services.drain.start(settings.drainTimeout),
    routes: [],
  });
}

/** A terminal and npm may both pass on one Ctrl-C: what follows within this time is the same wish. */
const sameSignalMs = 1_000;

/** The first signal begins the drain, a second one ends it. */
function onSignals(drain: Drain, drainMs: number, logger: Logger): () => void {
  let firstMs: number | undefined;
  const handle = (signal: NodeJS.Signals): void => {
    const now = systemClock.monotonic();
    if (firstMs !== undefined && now - firstMs < sameSignalMs) return;
    logger.info(firstMs === undefined ? `${signal}: draining` : `${signal} again: closing what is open`);
    drain.start(firstMs === undefined ? drainMs : 0);
    firstMs ??= now;
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, handle);
  return () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, handle);
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function report(logger: Logger, what: string, error: unknown): void {
  if (error instanceof CulvertError) logger.error(`${what}: ${error.message}`, { code: error.code });
  else
    logger.error(`${what}: ${messageOf(error)}`, { stack: error instanceof Error ? error.stack : undefined });
}
