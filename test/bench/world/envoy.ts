// Envoy as a rival: in the client's pod tcp_proxy over HTTP/2 CONNECT, in the server's pod the end of the tunnel, mutual
// TLS 1.3 between them. Tuned as its documentation advises: a worker per core, connections balanced exactly over the
// workers (few and long ones would else meet on one), its generous default windows, limits out of the way, no access
// log, no statistics of cluster or route beyond the default.
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Mesh } from '../../../src/playground/mesh.ts';
import { PlaygroundProcess } from '../../../src/playground/process.ts';
import type { Json } from '../../support/envoy.ts';
import { address, cluster, commonTls, expecting, issueCertificate, typed } from '../../support/envoy.ts';
import type { Service } from './manifest.ts';
import { clientPod, podAddress, ports, serverPod } from './manifest.ts';

/** Where clients dial it, on loopback of their pod. */
export const envoyPorts: Readonly<Record<Service, number>> = { echo: 17_000, sink: 17_001 };
const tunnelPort = 15_008;

export interface EnvoyRivalOptions {
  readonly program: string;
  readonly mesh: Mesh;
  /** A new tunnel for every connection. */
  readonly cold: boolean;
}

/** Starts both ends: the client's, the server's. */
export async function startEnvoyRival(options: EnvoyRivalOptions): Promise<readonly PlaygroundProcess[]> {
  const [client, server] = [clientPod('envoy'), serverPod('envoy')];
  const clientEnd = await bootstrapTls(options.mesh, client);
  const serverEnd = await bootstrapTls(options.mesh, server);
  return [
    await startIn(options, client, outbound(clientEnd, spiffe(server), options.cold)),
    await startIn(options, server, inbound(serverEnd, spiffe(client))),
  ];
}

function spiffe(pod: string): string {
  return `spiffe://cluster.local/ns/plain/sa/${pod}`;
}

async function bootstrapTls(mesh: Mesh, pod: string): Promise<Json> {
  const { chain, key, roots } = await issueCertificate(mesh, spiffe(pod));
  return commonTls(chain, key, roots);
}

async function startIn(
  { mesh, program }: EnvoyRivalOptions,
  pod: string,
  resources: Json,
): Promise<PlaygroundProcess> {
  const file = join(mesh.paths.directory, `envoy-${pod}.json`); // JSON is YAML
  await writeFile(file, JSON.stringify({ static_resources: resources }), { mode: 0o600 });
  const workers = String(availableParallelism());
  return await PlaygroundProcess.start({
    name: `envoy of ${pod}`,
    netns: mesh.netns(pod),
    view: 'pod',
    command: [program, '-c', file, '--concurrency', workers, '--use-dynamic-base-id', '-l', 'warning'],
    cwd: mesh.paths.directory,
    logFile: join(mesh.paths.logs, `envoy-${pod}.log`),
  });
}

const services = Object.entries(ports) as readonly (readonly [Service, number])[];

/** Its defaults, said aloud: 16 MiB a stream and 24 MiB a connection. */
const windows = { initial_stream_window_size: 16_777_216, initial_connection_window_size: 25_165_824 };
const limits = 1_000_000;
const unlimited = {
  circuit_breakers: {
    thresholds: [{ max_connections: limits, max_requests: limits, max_pending_requests: limits }],
  },
};
const balanced = { connection_balance_config: { exact_balance: {} }, tcp_backlog_size: 4096 };

function outbound(tls: Json, expected: string, cold: boolean): Json {
  const options = typed('upstreams.http.v3.HttpProtocolOptions', {
    explicit_http_config: { http2_protocol_options: { allow_connect: true, ...windows } },
    ...(cold && { common_http_protocol_options: { max_requests_per_connection: 1 } }),
  });
  const tunnel = cluster('tunnel', podAddress(serverPod('envoy')), tunnelPort, {
    ...unlimited,
    transport_socket: {
      name: 'tls',
      typed_config: typed('transport_sockets.tls.v3.UpstreamTlsContext', {
        common_tls_context: expecting(tls, { exact: expected }),
        // Culvert resumes no session either.
        max_session_keys: cold ? 0 : 1,
      }),
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options,
    },
  });
  return {
    listeners: services.map(([service, port]) =>
      listener(service, '127.0.0.1', envoyPorts[service], {
        filters: [
          {
            name: 'tcp_proxy',
            typed_config: typed('filters.network.tcp_proxy.v3.TcpProxy', {
              stat_prefix: service,
              cluster: 'tunnel',
              idle_timeout: '0s',
              tunneling_config: { hostname: `127.0.0.1:${port}` },
            }),
          },
        ],
      }),
    ),
    clusters: [tunnel],
  };
}

function inbound(tls: Json, expected: string): Json {
  const manager = typed('filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'tunnel',
    codec_type: 'HTTP2',
    stream_idle_timeout: '0s',
    http2_protocol_options: { allow_connect: true, ...windows },
    upgrade_configs: [{ upgrade_type: 'CONNECT' }],
    route_config: {
      virtual_hosts: services.map(([service, port]) => ({
        name: service,
        domains: [`*:${port}`],
        routes: [
          {
            match: { connect_matcher: {} },
            route: {
              cluster: service,
              timeout: '0s',
              upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
            },
          },
        ],
      })),
    },
    http_filters: [{ name: 'router', typed_config: typed('filters.http.router.v3.Router', {}) }],
  });
  const context = typed('transport_sockets.tls.v3.DownstreamTlsContext', {
    require_client_certificate: true,
    common_tls_context: expecting(tls, { exact: expected }),
  });
  return {
    listeners: [
      listener('tunnel', '0.0.0.0', tunnelPort, {
        transport_socket: { name: 'tls', typed_config: context },
        filters: [{ name: 'http', typed_config: manager }],
      }),
    ],
    clusters: services.map(([service, port]) => cluster(service, '127.0.0.1', port, unlimited)),
  };
}

function listener(name: string, host: string, port: number, chain: Json): Json {
  return { name, address: address(host, port), ...balanced, filter_chains: [chain] };
}
