// Every setting of the node proxy. Help, docs/settings.md and the checks are made from this table.
import { hostname } from 'node:os';
import { inGroup, setting } from '../runtime/settings.ts';
import type { SettingValues } from '../runtime/settings.ts';
import { debuggingSettings, endpointSettings, loggingSettings } from '../runtime/process-settings.ts';

const count = { min: 1, max: 1_000_000 };

export const ztunnelSettings = {
  ...inGroup('Who it is', {
    node: setting.string(hostname(), 'name of this node, as the mesh knows it (default: the host name)'),
    clusterId: setting.string('Kubernetes', 'name of this cluster'),
    network: setting.string('', 'network of this node; addresses are unique within one'),
    trustDomain: setting.string('cluster.local', 'trust domain of the identities of this mesh'),
    podName: setting.string('ztunnel', "name of this proxy's own pod"),
    podNamespace: setting.string('culvert-system', "namespace of this proxy's own pod"),
    serviceAccount: setting.string('ztunnel', "service account of this proxy's own pod"),
    instanceIp: setting.string('', "address of this proxy's own pod, for the controller's logs"),
  }),
  ...inGroup('Control plane', {
    xdsAddress: setting.address(
      'culvert-controller.culvert-system.svc:15012',
      'where the controller serves configuration',
    ),
    xdsServerName: setting.string(
      '',
      "name that the controller's certificate must carry (empty: the host of the address)",
    ),
    xdsRootCertificates: setting.path(
      '/var/run/secrets/culvert/root-cert.pem',
      'PEM file of roots that the controller is verified against',
    ),
    caAddress: setting.string(
      '',
      'where certificates are signed, as host:port (empty: where configuration comes from)',
    ),
    caServerName: setting.string('', "name that the signer's certificate must carry (empty: as for xds)"),
    caRootCertificates: setting.path(
      '',
      'PEM file of roots that the signer is verified against (empty: as for xds)',
    ),
    tokenFile: setting.path(
      '/var/run/secrets/tokens/culvert-token',
      'file with the bearer token for both; read anew for each request',
    ),
    connectTimeout: setting.duration('5s', 'time to reach the controller'),
    xdsBackoffMin: setting.duration('10ms', 'first pause before the controller is dialled again'),
    xdsBackoffMax: setting.duration('15s', 'longest such pause'),
  }),
  ...inGroup('Certificates', {
    certificateLifetime: setting.duration(
      '24h',
      'lifetime to ask for; a certificate is renewed at half of it',
    ),
    certificateRequests: setting.integer(8, { min: 1, max: 256 }, 'certificate requests at a time'),
    certificateBackoffMin: setting.duration('1s', 'first pause after a failed request'),
    certificateBackoffMax: setting.duration('150s', 'longest such pause'),
    certificatesMax: setting.integer(4096, count, 'identities of this node that are kept at a time'),
  }),
  ...inGroup('Pods and capture', {
    podsSocket: setting.path(
      '/run/culvert/pods.sock',
      'unix socket that takes pods from the CNI plugin (empty: none)',
    ),
    podsDirectory: setting.path('', 'directory with one file per pod, instead of the socket (empty: none)'),
    podsMax: setting.integer(1024, count, 'pods of this node that are served at a time'),
    pinsDirectory: setting.path(
      '/sys/fs/bpf',
      'directory of bpffs (mounted if it is not) below which links and maps are pinned, in `culvert/`',
    ),
    hbonePort: setting.port(15_008, 'port of peers that tunnels are dialled to'),
    ipv6: setting.boolean(true, 'capture IPv6 where a pod has it'),
    mark: setting.integer(
      0x539,
      { min: 1, max: 0xffffffff },
      "mark of this proxy's own packets in pods' namespaces",
    ),
    auditInterval: setting.duration('30s', 'time between two checks that every enrolled pod is captured'),
    nodeAddresses: setting.list([], 'addresses of this node from which probes come, beside those it is told'),
    unknownWorkloadWait: setting.duration(
      '5s',
      'time to wait for a workload that the controller has not sent yet',
    ),
    sourceAddress: setting.boolean(true, "show applications the client's address as their peer"),
    sameNode: setting.oneOf(
      ['tunnel', 'direct'],
      'tunnel',
      'between two pods of this node: a tunnel, or direct: authorized alike and joined in this process, so that no ' +
        'packet passes between them and a NetworkPolicy is not asked',
    ),
  }),
  ...inGroup('Endpoints of its own', {
    ...endpointSettings,
  }),
  ...inGroup('Engine', {
    threads: setting.integer(
      0,
      { min: 0, max: 256 },
      'event-loop threads (0: a quarter of the CPUs allowed, at least 2, as far as there are)',
    ),
    tlsGroups: setting.string(
      '*X25519MLKEM768:*X25519:P-256',
      "key agreements in OpenSSL's notation, preferred first",
    ),
    undecidedPerPod: setting.integer(1024, count, 'connections of a pod that may wait for a decision'),
    undecidedTotal: setting.integer(8192, count, 'connections of the node that may wait for a decision'),
    streamsPerTunnel: setting.integer(
      100,
      { min: 1, max: 10_000 },
      'connections that are opened over one tunnel',
    ),
    handshakesPerThread: setting.integer(256, count, 'TLS handshakes at a time, per thread'),
    handshakesPerSource: setting.integer(64, count, 'TLS handshakes at a time, per peer address'),
    tunnelsPerSource: setting.integer(64, count, 'tunnels that a peer address may hold'),
    inboundTunnels: setting.integer(8192, count, 'tunnels that all peers together may hold'),
    failedHandshakesPerSource: setting.integer(
      200,
      count,
      'TLS handshakes that a peer address may fail at once; a tenth of it per second',
    ),
    bufferBytes: setting.integer(
      134_217_728,
      { min: 1_048_576, max: 68_719_476_736 },
      'memory for bytes under way, of the whole node',
    ),
    idleTunnels: setting.integer(512, { min: 0, max: 1_000_000 }, 'tunnels that are kept without a stream'),
    reservedDescriptors: setting.integer(
      256,
      { min: 0, max: 65_536 },
      'file descriptors kept for certificates, configuration and capture: connections do not get them (at most a quarter of the limit)',
    ),
    decisionTimeout: setting.duration('5s', 'time for a decision; then the connection is refused'),
    dialTimeout: setting.duration('10s', 'time to connect to a peer or an application'),
    handshakeTimeout: setting.duration('5s', 'time for a TLS handshake'),
    prefaceTimeout: setting.duration('5s', 'time from the handshake to the HTTP/2 settings of the peer'),
    connectResponseTimeout: setting.duration('15s', "time for the peer's answer to CONNECT"),
    pingInterval: setting.duration('10s', 'time between two PINGs on a tunnel with streams'),
    pingTimeout: setting.duration('20s', 'silence after which a tunnel is dead'),
    stalledStreamTimeout: setting.duration(
      '60s',
      'time without progress after which a stream is reset while buffer memory is exhausted',
    ),
    idleTunnelTimeout: setting.duration('5m', 'time a tunnel is kept after its last stream'),
  }),
  ...inGroup('Stopping', {
    drainTimeout: setting.duration('30s', 'time that open connections have after SIGTERM'),
    takeOverTimeout: setting.duration(
      '60s',
      'time that a successor has to take over every pod of a ztunnel that serves; else it gives up',
    ),
    podDrainTimeout: setting.duration('30s', "time that a removed pod's connections have"),
  }),
  ...inGroup('Debugging', debuggingSettings),
  ...inGroup('Logging', {
    ...loggingSettings,
    accessLog: setting.oneOf(
      ['all', 'failures', 'off'],
      'all',
      'connections that get a line in the access log',
    ),
  }),
};

export type ZtunnelSettings = SettingValues<typeof ztunnelSettings>;
