// Wires the controller to its settings and to the services of the process.
import { rename, writeFile } from 'node:fs/promises';
import { TokenFileAuthenticator } from '../controller/authenticate.ts';
import { Controller, adminRoutes } from '../controller/controller.ts';
import type { ControllerSettings } from '../controller/settings.ts';
import { checkPrivateFile } from '../runtime/private-files.ts';
import type { Daemon, Services } from './daemon.ts';
import { version } from './version.ts';

/** Starts the control plane. It is ready when all manifests were read and can be served. */
export async function startController(settings: ControllerSettings, services: Services): Promise<Daemon> {
  const { logger, clock, metrics, readiness } = services;
  await checkPrivateFile(settings.tokensFile);
  const authenticator = new TokenFileAuthenticator({
    path: settings.tokensFile,
    logger: logger.child('authenticate'),
  });
  const published = metrics.counter({
    name: 'culvert_controller_published_total',
    help: 'Snapshots that were published.',
  });
  const publishSeconds = metrics.histogram({
    name: 'culvert_controller_publish_seconds',
    help: 'Time from objects to a published snapshot.',
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  });
  const problems = metrics.gauge({
    name: 'culvert_controller_problems',
    help: 'Problems of the manifests in force.',
    labels: ['severity'],
  });
  const controller = await Controller.start({
    source: {
      directory: settings.manifests,
      quietMs: settings.settleTime,
      quietMsMax: settings.settleTimeMax,
      pollMs: settings.rescanInterval,
    },
    mesh: {
      clusterId: settings.clusterId,
      trustDomain: settings.trustDomain,
      clusterDomain: settings.clusterDomain,
      rootNamespace: settings.rootNamespace,
      network: settings.network,
    },
    listen: settings.xdsAddress,
    authority: {
      directory: settings.caDirectory,
      rootValidityMs: settings.rootLifetime,
      backdateMs: settings.certificateBackdate,
    },
    limits: { streamsMax: settings.streamsMax },
    serving: { names: settings.serverNames, validityMs: settings.serverCertificateLifetime },
    nodeAccounts: settings.nodeAccounts,
    certificateMsMax: settings.certificateLifetimeMax,
    authenticator,
    clock,
    logger,
    observer: {
      rootsChanged: (roots) => {
        if (settings.rootsFile === '') return;
        services.supervisor.run('the file of roots', () => replaceFile(settings.rootsFile, roots));
      },
      published: ({ durationMs, errors, warnings }) => {
        published.child({}).inc();
        publishSeconds.child({}).observe(durationMs / 1000);
        problems.child({ severity: 'error' }).set(errors);
        problems.child({ severity: 'warning' }).set(warnings);
      },
    },
  });
  if (settings.rootsFile !== '') await replaceFile(settings.rootsFile, controller.roots());
  readiness.check('manifests', () => controller.pending());
  return {
    routes: adminRoutes(controller, version()),
    drain: async (drain) => controller.close(drain.leftMs),
    close: () => controller.close(0),
  };
}

/** A reader sees the old content or the new one, never half of it. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
