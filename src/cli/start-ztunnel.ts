// Wires the node proxy to its settings, to the kernel and to the services of the process.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KernelCapture } from '../engine/capture.ts';
import { startEngine } from '../engine/engine.ts';
import { preflight } from '../engine/preflight.ts';
import type { EngineOptions } from '../engine/types.ts';
import { CertificateManager } from '../identity/certificate-manager.ts';
import { messageOf } from '../runtime/errors.ts';
import { checkPrivateDirectory, checkPrivateFile, readPrivateFile } from '../runtime/private-files.ts';
import { formatHostPort } from '../runtime/settings.ts';
import type { ChannelOptions } from '../xds/client.ts';
import { XdsClient } from '../xds/client.ts';
import { CertificateClient } from '../xds/certificate-client.ts';
import { adminRoutes } from '../ztunnel/admin.ts';
import type { Handover } from '../ztunnel/handover.ts';
import { DirectoryPodSource } from '../ztunnel/pods/directory-source.ts';
import type { PodSource } from '../ztunnel/pods/pod-source.ts';
import { SocketPodSource } from '../ztunnel/pods/socket-source.ts';
import type { ZtunnelSettings } from '../ztunnel/settings.ts';
import { Ztunnel } from '../ztunnel/ztunnel.ts';
import type { Daemon, Services } from './daemon.ts';
import { CliError } from './errors.ts';
import { version } from './version.ts';

/** Starts the proxy of a node. Throws ERR_CULVERT_MACHINE, after saying what it is, if the machine lacks something. */
export async function startZtunnel(
  settings: ZtunnelSettings,
  services: Services,
  handover?: Handover,
): Promise<Daemon> {
  const { logger, clock, metrics, readiness } = services;
  await checkPrivateFile(settings.tokenFile);
  await checkPrivateDirectory(join(settings.pinsDirectory, 'culvert'));
  if (!settings.pinsDirectory.startsWith('/sys/')) await mkdir(settings.pinsDirectory, { recursive: true });
  const findings = preflight({
    bpffs: settings.pinsDirectory,
    joinSameNode: settings.sameNode === 'direct',
    captures: handover !== undefined && handover.size > 0,
  });
  for (const { caution, detail } of findings) if (caution === true) logger.warn(detail);
  const unmet = findings.filter((finding) => !finding.ok);
  for (const { check, detail } of unmet) logger.error(`this machine cannot capture: ${check}: ${detail}`);
  if (unmet.length > 0)
    throw new CliError(
      'ERR_CULVERT_MACHINE',
      `${unmet.length} of its requirements ${unmet.length === 1 ? 'is' : 'are'} not met`,
    );
  const capture = KernelCapture.open({
    bpffs: settings.pinsDirectory,
    mark: settings.mark,
    hbonePort: settings.hbonePort,
    onFault: (podId, error) => logger.error(`capture of pod ${podId} has a fault: ${messageOf(error)}`),
  });
  const signer = new CertificateClient(signerChannel(settings));
  const certificates = new CertificateManager({
    requestCertificate: (identity, csr, signal) =>
      signer.requestCertificate(csr, {
        validityMs: settings.certificateLifetime,
        impersonatedIdentity: identity,
        signal,
      }),
    clock,
    logger: logger.child('certificates'),
    concurrency: settings.certificateRequests,
    identitiesMax: settings.certificatesMax,
    backoffMs: { min: settings.certificateBackoffMin, max: settings.certificateBackoffMax },
  });
  const ztunnel = await Ztunnel.start({
    settings,
    createEngine: (handler) => startEngine(engineOptions(settings), handler),
    capture,
    connect: (handlers) => {
      const client = new XdsClient({
        ...xdsChannel(settings),
        node: nodeDescription(settings),
        handlers,
        logger: logger.child('xds'),
        clock,
        backoffMs: { min: settings.xdsBackoffMin, max: settings.xdsBackoffMax },
        connectTimeoutMs: settings.connectTimeout,
      });
      return {
        start: () => client.start(),
        status: () => client.status(),
        close: () => Promise.resolve(client.close()),
      };
    },
    certificates,
    podSources: podSources(settings, services, handover),
    ...(handover !== undefined && { handover }),
    logger,
    metrics,
    readiness,
    clock,
  });
  return {
    routes: adminRoutes(ztunnel, version()),
    reachable: () => succeed(ztunnel, services, settings),
    drain: (drain) => Promise.race([ztunnel.drain(drain.leftMs ?? 0), expired(drain.expired)]),
    close: async () => {
      await ztunnel.close();
      signer.close();
    },
  };
}

/** Tells the holder when this process serves, and drains when a successor does. */
async function succeed(
  ztunnel: Ztunnel,
  { drain, supervisor }: Services,
  { drainTimeout }: ZtunnelSettings,
): Promise<void> {
  const { succession } = ztunnel;
  if (succession === undefined) return;
  if (succession.takesOver) await ztunnel.acceptPods();
  supervisor.run('the handover', async () => {
    await succession.restored();
    succession.ready();
    await succession.superseded;
    drain.start(drainTimeout);
  });
}

/** What the engine is to keep to, of the settings. */
export function engineOptions(settings: ZtunnelSettings): EngineOptions {
  return {
    threads: settings.threads,
    mark: settings.mark,
    groups: settings.tlsGroups,
    limits: {
      undecidedPerPod: settings.undecidedPerPod,
      undecidedTotal: settings.undecidedTotal,
      streamsPerTunnel: settings.streamsPerTunnel,
      handshakesPerThread: settings.handshakesPerThread,
      handshakesPerSource: settings.handshakesPerSource,
      tunnelsPerSource: settings.tunnelsPerSource,
      inboundTunnels: settings.inboundTunnels,
      failedHandshakesPerSource: settings.failedHandshakesPerSource,
      bufferBytes: settings.bufferBytes,
      idleTunnels: settings.idleTunnels,
      reservedDescriptors: settings.reservedDescriptors,
    },
    timeouts: {
      decisionMs: settings.decisionTimeout,
      dialMs: settings.dialTimeout,
      handshakeMs: settings.handshakeTimeout,
      prefaceMs: settings.prefaceTimeout,
      connectResponseMs: settings.connectResponseTimeout,
      pingIntervalMs: settings.pingInterval,
      pingTimeoutMs: settings.pingTimeout,
      stalledStreamMs: settings.stalledStreamTimeout,
      idleTunnelMs: settings.idleTunnelTimeout,
    },
  };
}

/** Files are read at each connection: tokens and roots are replaced while we run. */
function xdsChannel(settings: ZtunnelSettings): ChannelOptions {
  return {
    address: formatHostPort(settings.xdsAddress),
    roots: () => readFile(settings.xdsRootCertificates, 'utf8'),
    token: () => readPrivateFile(settings.tokenFile),
    headers: { clusterid: settings.clusterId },
    ...(settings.xdsServerName !== '' && { serverName: settings.xdsServerName }),
  };
}

/** What is not said of the signer is as for xds. */
function signerChannel(settings: ZtunnelSettings): ChannelOptions {
  const roots =
    settings.caRootCertificates === '' ? settings.xdsRootCertificates : settings.caRootCertificates;
  return {
    ...xdsChannel(settings),
    ...(settings.caAddress !== '' && { address: settings.caAddress }),
    ...(settings.caServerName !== '' && { serverName: settings.caServerName }),
    roots: () => readFile(roots, 'utf8'),
  };
}

function nodeDescription(settings: ZtunnelSettings): ConstructorParameters<typeof XdsClient>[0]['node'] {
  return {
    kind: 'ztunnel',
    podName: settings.podName,
    namespace: settings.podNamespace,
    nodeName: settings.node,
    metadata: { CLUSTER_ID: settings.clusterId, NETWORK: settings.network },
    ...(settings.instanceIp !== '' && { ip: settings.instanceIp }),
  };
}

function podSources(
  settings: ZtunnelSettings,
  { logger, clock }: Services,
  handover: Handover | undefined,
): readonly PodSource[] {
  const sources: PodSource[] = [];
  const takesOver = handover?.takesOver ?? false;
  if (settings.podsSocket !== '')
    sources.push(new SocketPodSource({ path: settings.podsSocket, logger: logger.child('pods'), takesOver }));
  if (settings.podsDirectory !== '')
    sources.push(
      new DirectoryPodSource({ path: settings.podsDirectory, logger: logger.child('pods'), clock }),
    );
  return sources;
}

function expired(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
