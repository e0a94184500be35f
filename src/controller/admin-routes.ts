// What a controller says of itself on the admin endpoint.
import type { EndpointRoute } from '../runtime/admin-server.ts';
import { jsonResponse } from '../runtime/admin-server.ts';
import { readTrustBundle } from '../identity/trust-bundle.ts';
import type { Controller } from './controller.ts';
import type { ObjectSet } from './objects/object-set.ts';
import { formatProblem } from './problem.ts';

/** GET /status, /problems and /config_dump. Keys and tokens are in none of them. */
export function adminRoutes(controller: Controller, version = ''): readonly EndpointRoute[] {
  return [
    {
      method: 'GET',
      path: '/status',
      summary: 'readiness, objects in force, problems, clients and roots (JSON)',
      handle: () => jsonResponse(statusOf(controller, version)),
    },
    {
      method: 'GET',
      path: '/problems',
      summary: 'what is wrong with the manifests, with file, line, object and field (JSON)',
      handle: () => jsonResponse(controller.problems()),
    },
    {
      method: 'GET',
      path: '/config_dump',
      summary: 'workloads, services, policies and pods as they are served (JSON)',
      handle: () => jsonResponse(dumpOf(controller)),
    },
  ];
}

function statusOf(controller: Controller, version: string): object {
  return {
    version,
    startedMs: controller.startedMs,
    ready: controller.ready(),
    pending: controller.pending(),
    objects: countsOf(controller.objects()),
    problems: controller.problems().map(formatProblem),
    clients: controller.clients().map(({ caller, nodeId, peer, sinceMs }) => ({
      name: caller.name,
      nodeId,
      peer,
      connectedMs: sinceMs,
    })),
    roots: readTrustBundle(controller.roots()).roots.map(({ x509, notAfterMs }) => ({
      subject: x509.subject.replaceAll('\n', ', '),
      notAfterMs,
    })),
    xds: controller.stats(),
  };
}

function countsOf(objects: ObjectSet): Readonly<Record<string, number>> {
  const counts = Object.entries(objects).map(([kind, found]) => [
    kind,
    'size' in found ? found.size : found.length,
  ]);
  return Object.fromEntries(counts) as Record<string, number>;
}

function dumpOf(controller: Controller): object {
  const { workloads, services, policies, pods } = controller.snapshot() ?? {};
  return {
    workloads: [...(workloads?.values() ?? [])],
    services: [...(services?.values() ?? [])],
    policies: [...(policies?.values() ?? [])],
    pods: [...(pods?.values() ?? [])],
    clients: controller.clients(),
  };
}
