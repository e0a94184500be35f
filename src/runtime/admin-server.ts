// What every process of Culvert answers to its operator: metrics, readiness, and admin on loopback.
import { HttpEndpoint } from './http-endpoint.ts';
import type { EndpointResponse, EndpointRoute, ListenAddress } from './http-endpoint.ts';
import type { LogLevel, Logger } from './logger.ts';
import { logLevels } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';
import { redactSecrets } from './redact.ts';

export type { EndpointRequest, EndpointResponse, EndpointRoute, ListenAddress } from './http-endpoint.ts';

export interface AdminServerOptions {
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly logger: Logger;
  /** Each may be a TCP address (port 0: any free one) or a unix socket; an empty list turns that server off. */
  readonly listen: {
    readonly metrics: readonly ListenAddress[];
    readonly readiness: readonly ListenAddress[];
    readonly admin: readonly ListenAddress[];
  };
  /** Asked by POST /quitquitquit: begin to drain. */
  readonly quit: () => void;
  /** The process's own routes (`/config_dump` and more), beside `/`, `/logging` and `/quitquitquit`. */
  readonly routes: readonly EndpointRoute[];
}

export class AdminServer {
  readonly metrics: HttpEndpoint;
  readonly readiness: HttpEndpoint;
  readonly admin: HttpEndpoint;

  private constructor(metrics: HttpEndpoint, readiness: HttpEndpoint, admin: HttpEndpoint) {
    this.metrics = metrics;
    this.readiness = readiness;
    this.admin = admin;
  }

  static async start(options: AdminServerOptions): Promise<AdminServer> {
    const { logger, listen } = options;
    const started: HttpEndpoint[] = [];
    const open = async (
      name: keyof AdminServerOptions['listen'],
      routes: readonly EndpointRoute[],
    ): Promise<HttpEndpoint> => {
      const endpoint = await HttpEndpoint.start({
        name,
        listen: listen[name],
        routes,
        logger,
        refuseBrowsers: name === 'admin',
      });
      started.push(endpoint);
      return endpoint;
    };
    try {
      const metrics = await open('metrics', metricsRoutes(options.metrics));
      const readiness = await open('readiness', [readinessRoute(options.readiness)]);
      const admin = await open('admin', [
        loggingRoute('GET', logger),
        loggingRoute('POST', logger),
        quitRoute(options.quit),
        readinessRoute(options.readiness),
        ...metricsRoutes(options.metrics),
        ...options.routes,
      ]);
      admin.addRoute(indexRoute(admin));
      return new AdminServer(metrics, readiness, admin);
    } catch (error) {
      for (const endpoint of started) await endpoint.close();
      throw error;
    }
  }

  /** Listens there as well. Throws ERR_CULVERT_LISTEN. */
  async listen(where: AdminServerOptions['listen']): Promise<void> {
    await this.metrics.listen(where.metrics);
    await this.readiness.listen(where.readiness);
    await this.admin.listen(where.admin);
  }

  /** Leaves the ports to a successor, which listens on them already. */
  async yield(): Promise<void> {
    for (const endpoint of [this.admin, this.readiness, this.metrics]) await endpoint.yield();
  }

  async close(): Promise<void> {
    for (const endpoint of [this.admin, this.readiness, this.metrics]) await endpoint.close();
  }
}

/** An answer in JSON, without secrets. Maps, sets and big integers, which JSON lacks, become objects, arrays and decimal
 *  strings. */
export function jsonResponse(value: unknown, status = 200): EndpointResponse {
  const plain = (_key: string, item: unknown): unknown => {
    if (typeof item === 'bigint') return item.toString();
    if (item instanceof Map) return Object.fromEntries(item);
    if (item instanceof Set) return [...item];
    return item;
  };
  const body = redactSecrets(JSON.stringify(value, plain, 2));
  return { status, contentType: 'application/json', body: `${body}\n` };
}

function metricsRoutes(metrics: Metrics): readonly EndpointRoute[] {
  return ['/metrics', '/stats/prometheus'].map((path) => ({
    method: 'GET',
    path,
    summary: 'Prometheus metrics; OpenMetrics if the Accept header asks for it',
    handle: ({ headers }) =>
      metrics.render(
        headers['accept']?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'prometheus',
      ),
  }));
}

function readinessRoute(readiness: Readiness): EndpointRoute {
  return {
    method: 'GET',
    path: '/healthz/ready',
    summary: '200 when ready, else 500 and what it waits for',
    handle: () =>
      readiness.ready
        ? { body: 'ready\n' }
        : {
            status: 500,
            body: `not ready, waiting for:\n${readiness.pending.map((p) => `${p}\n`).join('')}`,
          },
  };
}

function loggingRoute(method: 'GET' | 'POST', logger: Logger): EndpointRoute {
  return {
    method,
    path: '/logging',
    summary:
      method === 'GET'
        ? 'the log levels in force'
        : 'sets them: ?level=debug, ?level=xds:debug,access:warn, or ?reset',
    handle: ({ query }) => {
      if (method === 'GET') return { body: describeLevels(logger) };
      if (query.has('reset')) {
        logger.levels.reset();
        return { body: describeLevels(logger) };
      }
      const wanted = (query.get('level') ?? '').split(',').map((part) => part.trim().split(':'));
      const known = (level: string | undefined): level is LogLevel =>
        (logLevels as readonly (string | undefined)[]).includes(level);
      if (!wanted.every((part) => part.length <= 2 && known(part.at(-1))))
        return { status: 400, body: `?level= takes [scope:]level with one of ${logLevels.join(', ')}\n` };
      for (const part of wanted)
        logger.levels.set(part.at(-1) as LogLevel, part.length === 2 ? part[0] : undefined);
      return { body: describeLevels(logger) };
    },
  };
}

function describeLevels(logger: Logger): string {
  const scopes = [...logger.levels.scopes].map(([scope, level]) => `,${scope}:${level}`).join('');
  return `${logger.levels.default}${scopes}\n`;
}

function quitRoute(quit: () => void): EndpointRoute {
  return {
    method: 'POST',
    path: '/quitquitquit',
    summary: 'begins to drain, then the process ends',
    handle: () => {
      quit();
      return { body: 'draining\n' };
    },
  };
}

function indexRoute(endpoint: HttpEndpoint): EndpointRoute {
  return {
    method: 'GET',
    path: '/',
    summary: 'this list',
    handle: () => ({
      body: endpoint.routes
        .map((route) => `${route.method.padEnd(5)}${route.path.padEnd(22)} ${route.summary}\n`)
        .sort()
        .join(''),
    }),
  };
}
