// Envoy as an HBONE peer: a pod whose tunnel end is Envoy instead of a ztunnel, configured as a waypoint or a sidecar is.
//
//   out   127.0.0.1:<port>   tcp_proxy -> CONNECT over HTTP/2 over mutual TLS -> <pod>:15008
//   in    <pod>:15008        mutual TLS -> CONNECT, RBAC by SPIFFE id -> 127.0.0.1:<port of the authority>
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlaygroundProcess } from '../../src/playground/process.ts';
import { CertificateAuthority } from '../../src/controller/ca/authority.ts';
import type { Mesh } from '../../src/playground/mesh.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';

/** The program; skips the suite where it is not known, which in CI is a failure. Call it in `before`. */
export function requireEnvoy(context: Mocha.Context): string {
  const program = process.env['ENVOY_PROGRAM'];
  if (program !== undefined) return program;
  if (process.env['CULVERT_REQUIRE_ROOT'] === '1') throw new Error('ENVOY_PROGRAM names no program');
  return context.skip();
}

/** A port on loopback whose connections Envoy carries to `authority` through the tunnel port of `via`. */
export interface EnvoyTunnel {
  readonly port: number;
  readonly via: string;
  readonly authority: string;
  /** SPIFFE id that the peer has to prove. */
  readonly expected: string;
}

export interface EnvoyOptions {
  readonly program: string;
  readonly mesh: Mesh;
  /** A pod that is not captured. */
  readonly pod: string;
  readonly tunnels: readonly EnvoyTunnel[];
  /** Ports on loopback that CONNECT reaches, and the SPIFFE ids it is refused to. */
  readonly ports: readonly number[];
  readonly deniedIdentities: readonly string[];
}

/** Issued by the mesh's own authority, from its directory. */
export async function issueCertificate(
  mesh: Mesh,
  identity: string,
): Promise<{ chain: string; key: string; roots: string }> {
  const authority = await CertificateAuthority.open({
    directory: join(mesh.paths.directory, 'ca'),
    trustDomain: 'cluster.local',
    clock: systemClock,
    logger: silentLogger,
  });
  const { chainPem, keyPem } = await authority.issueServing({ dnsNames: [], ips: [], uris: [identity] });
  return { chain: chainPem, key: keyPem, roots: authority.roots };
}

/** Starts Envoy in a pod with a certificate for the pod's own identity. */
export async function startEnvoy(options: EnvoyOptions): Promise<PlaygroundProcess> {
  const { mesh, pod, program } = options;
  const { namespace, serviceAccount } = mesh.pod(pod);
  const identity = `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`;
  const { chain, key, roots } = await issueCertificate(mesh, identity);
  const file = join(mesh.paths.directory, 'envoy.json'); // JSON is YAML
  const tls = commonTls(chain, key, roots);
  await writeFile(file, JSON.stringify(bootstrap(options, tls)), { mode: 0o600 });
  return await PlaygroundProcess.start({
    name: 'envoy',
    netns: mesh.netns(pod),
    view: 'pod',
    command: [program, '-c', file, '--concurrency', '2', '--use-dynamic-base-id', '-l', 'warning'],
    cwd: mesh.paths.directory,
    logFile: join(mesh.paths.logs, 'envoy.log'),
  });
}

export type Json = Readonly<Record<string, unknown>>;

export const typed = (type: string, fields: Json): Json => ({
  '@type': `type.googleapis.com/envoy.extensions.${type}`,
  ...fields,
});

export function commonTls(chain: string, key: string, roots: string): Json {
  return {
    alpn_protocols: ['h2'],
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
    validation_context: { trusted_ca: { inline_string: roots } },
  };
}

/** Only those whose URI names are `match`. */
export function expecting(tls: Json, match: Json): Json {
  const names = [{ san_type: 'URI', matcher: match }];
  return {
    ...tls,
    validation_context: { ...(tls['validation_context'] as Json), match_typed_subject_alt_names: names },
  };
}

function bootstrap(options: EnvoyOptions, tls: Json): Json {
  const { tunnels, ports } = options;
  return {
    static_resources: {
      listeners: [...tunnels.map(tunnelListener), hboneListener(options, tls)],
      clusters: [
        ...tunnels.map((tunnel) => tunnelCluster(tunnel, tls)),
        ...ports.map((port) => cluster(`local-${port}`, '127.0.0.1', port, {})),
      ],
    },
  };
}

function tunnelListener({ port, authority }: EnvoyTunnel): Json {
  return {
    name: `out-${port}`,
    address: address('127.0.0.1', port),
    filter_chains: [
      {
        filters: [
          {
            name: 'tcp_proxy',
            typed_config: typed('filters.network.tcp_proxy.v3.TcpProxy', {
              stat_prefix: 'out',
              cluster: `tunnel-${port}`,
              tunneling_config: {
                hostname: authority,
                headers_to_add: [{ header: { key: 'x-istio-source', value: 'waypoint' } }],
              },
            }),
          },
        ],
      },
    ],
  };
}

function tunnelCluster({ port, via, expected }: EnvoyTunnel, tls: Json): Json {
  return cluster(`tunnel-${port}`, via, 15008, {
    transport_socket: {
      name: 'tls',
      typed_config: typed('transport_sockets.tls.v3.UpstreamTlsContext', {
        common_tls_context: expecting(tls, { exact: expected }),
      }),
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
        'upstreams.http.v3.HttpProtocolOptions',
        {
          explicit_http_config: { http2_protocol_options: { allow_connect: true, ...http2 } },
        },
      ),
    },
  });
}

/** What a waypoint announces. */
const http2 = {
  max_concurrent_streams: 100,
  connection_keepalive: { interval: '10s', timeout: '20s' },
};

function hboneListener({ ports, deniedIdentities }: EnvoyOptions, tls: Json): Json {
  const manager = typed('filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'hbone',
    codec_type: 'HTTP2',
    stream_idle_timeout: '0s',
    http2_protocol_options: { allow_connect: true, ...http2 },
    upgrade_configs: [{ upgrade_type: 'CONNECT' }],
    route_config: {
      virtual_hosts: ports.map((port) => ({
        name: `port-${port}`,
        domains: [`*:${port}`],
        routes: [
          {
            match: { connect_matcher: {} },
            route: {
              cluster: `local-${port}`,
              timeout: '0s',
              upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
            },
          },
        ],
      })),
    },
    http_filters: [
      {
        name: 'rbac',
        typed_config: typed('filters.http.rbac.v3.RBAC', {
          rules: {
            action: 'DENY',
            policies: {
              denied: {
                permissions: [{ any: true }],
                principals: deniedIdentities.map((exact) => ({
                  authenticated: { principal_name: { exact } },
                })),
              },
            },
          },
        }),
      },
      { name: 'router', typed_config: typed('filters.http.router.v3.Router', {}) },
    ],
  });
  const context = typed('transport_sockets.tls.v3.DownstreamTlsContext', {
    require_client_certificate: true,
    common_tls_context: expecting(tls, { prefix: 'spiffe://cluster.local/' }),
  });
  return {
    name: 'hbone',
    address: address('::', 15008),
    filter_chains: [
      {
        transport_socket: { name: 'tls', typed_config: context },
        filters: [{ name: 'http', typed_config: manager }],
      },
    ],
  };
}

export function cluster(name: string, host: string, port: number, more: Json): Json {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, port) } }] }],
    },
    circuit_breakers: {
      thresholds: [{ max_connections: 4096, max_requests: 4096, max_pending_requests: 4096 }],
    },
    ...more,
  };
}

export function address(host: string, port: number): Json {
  return { socket_address: { address: host, port_value: port, ...(host === '::' && { ipv4_compat: true }) } };
}
