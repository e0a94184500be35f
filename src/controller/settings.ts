// Every setting of the controller. Help, docs/settings.md and the checks are made from this table.
import { inGroup, setting } from '../runtime/settings.ts';
import type { SettingValues } from '../runtime/settings.ts';
import { debuggingSettings, endpointSettings, loggingSettings } from '../runtime/process-settings.ts';

export const controllerSettings = {
  ...inGroup('The mesh', {
    manifests: setting.path(
      '/etc/culvert/manifests',
      'directory of YAML files that describe the mesh; it is watched',
    ),
    clusterId: setting.string('Kubernetes', 'name of this cluster'),
    network: setting.string('', 'network of workloads that name none'),
    clusterDomain: setting.string('cluster.local', "suffix of services' host names"),
    trustDomain: setting.string('cluster.local', 'trust domain of the identities that are issued'),
    rootNamespace: setting.string('culvert-system', 'namespace whose policies hold for the whole mesh'),
    settleTime: setting.duration('50ms', 'quiet time after a change before it is applied'),
    settleTimeMax: setting.duration('1s', 'longest time that a change waits for others'),
    rescanInterval: setting.duration(
      '30s',
      'time between two full readings, in case a notification was lost',
    ),
  }),
  ...inGroup('Serving', {
    xdsAddress: setting.address('*:15012', 'where configuration and certificates are served, over TLS'),
    serverNames: setting.list(
      ['culvert-controller.culvert-system.svc', 'localhost', '127.0.0.1', '::1'],
      "names and addresses in the server's own certificate",
    ),
    tokensFile: setting.path(
      '/etc/culvert/tokens.json',
      'JSON list of the tokens that clients may present, and who they are',
    ),
    streamsMax: setting.integer(4096, { min: 1, max: 1_000_000 }, 'clients that are served at a time'),
  }),
  ...inGroup('Certificate authority', {
    caDirectory: setting.path(
      '/var/lib/culvert/ca',
      'directory of the root and its key; made at first start',
    ),
    rootsFile: setting.path(
      '',
      'file to which the roots are written for clients (empty: root-cert.pem in the CA directory)',
    ),
    rootLifetime: setting.duration('3650d', 'lifetime of a root that is made'),
    nodeAccounts: setting.list(
      ['culvert-system/ztunnel'],
      'namespace/serviceAccount of the callers that may have certificates of the pods on their own node',
    ),
    certificateLifetimeMax: setting.duration('24h', 'longest lifetime of a certificate that is issued'),
    serverCertificateLifetime: setting.duration('24h', "lifetime of the server's own certificate"),
    certificateBackdate: setting.duration(
      '15m',
      'time by which a certificate starts earlier, for clocks that differ',
    ),
  }),
  ...inGroup('Endpoints of its own', {
    ...endpointSettings,
    name: setting.string('controller', 'name under which it registers'),
  }),
  ...inGroup('Stopping', {
    drainTimeout: setting.duration('5s', 'time that open streams have after SIGTERM'),
  }),
  ...inGroup('Debugging', debuggingSettings),
  ...inGroup('Logging', loggingSettings),
};

export type ControllerSettings = SettingValues<typeof controllerSettings>;
