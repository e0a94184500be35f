// `culvert why <source> <destination>`: the same functions that decide, run on the same snapshot, with each step and the
// object that caused it. Nothing here decides anything.
import type { PolicyExplanation } from '../authz/authorize.ts';
import { explain } from '../authz/authorize.ts';
import type { SocketAddress } from '../mesh/address.ts';
import { formatSocketAddress, isIpv6 } from '../mesh/address.ts';
import { candidatesOf } from '../mesh/endpoint.ts';
import { formatIdentity } from '../mesh/identity.ts';
import { policyKey } from '../mesh/policy.ts';
import { serviceKey } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { identityOf } from '../mesh/workload.ts';
import { describeDenial } from './decide.ts';
import type { EndpointPicker } from './load-balancer.ts';
import { formatGateway, routeOutbound } from './route-outbound.ts';
import type { OutboundRoute } from './route.ts';

export interface WhyStep {
  readonly step: string;
  readonly outcome: string;
  /** The object that caused it: `Policy shop/deny-all`, `Service shop/cart...`. */
  readonly object?: string;
  readonly detail?: string;
}

export interface WhyReport {
  readonly allowed: boolean;
  readonly steps: readonly WhyStep[];
}

export interface WhyQuery {
  readonly snapshot: MeshSnapshot;
  readonly source: Workload;
  readonly originalDst: SocketAddress;
  /** How source and destination were found, for the first lines. */
  readonly sourceFound: string;
  readonly destinationFound: string;
  /** What this node knows of the source pod's capture; undefined if it runs elsewhere. */
  readonly sourceCapture?: { readonly phase: string; readonly detail: string } | undefined;
  /** Whether a valid certificate of the source is here; undefined if it runs elsewhere. */
  readonly sourceHasCertificate?: boolean | undefined;
  readonly picker: EndpointPicker;
  readonly hbonePort: number;
  /** Whether both ends of a route are pods of this node that `sameNode: direct` joins. */
  readonly joined?: (route: OutboundRoute) => boolean;
}

const candidatesShownMax = 20;

export function explainWhy(query: WhyQuery): WhyReport {
  const { snapshot, source, originalDst, picker, hbonePort } = query;
  const ip = source.addresses.find((address) => isIpv6(address) === isIpv6(originalDst.ip));
  const client = { ip: ip ?? source.addresses[0] ?? originalDst.ip, port: 0 };
  const captured = source.tunnelProtocol === 'hbone';
  const route = routeOutbound({ snapshot, source, client, originalDst, picker, hbonePort });
  const steps: WhyStep[] = [
    sourceStep(query),
    captureStep(query),
    { step: 'destination', outcome: query.destinationFound, detail: formatSocketAddress(originalDst) },
    ...waypointSteps(route),
    ...endpointSteps(query, route),
    captured && query.joined?.(route) === true ? joinedStep(route) : routeStep(route, captured),
  ];
  if (route.kind === 'refuse') return { allowed: false, steps };
  if (captured && route.kind === 'tunnel' && query.sourceHasCertificate === false) {
    const identity = formatIdentity(identityOf(source));
    steps.push({ step: 'certificate', outcome: 'refused: no valid certificate', object: identity });
    return { allowed: false, steps };
  }
  const verdict = policySteps(query, route, client.ip, captured);
  return { allowed: verdict.allowed, steps: [...steps, ...verdict.steps] };
}

function sourceStep({ source, sourceFound }: WhyQuery): WhyStep {
  return {
    step: 'source',
    outcome: sourceFound,
    object: `Workload ${source.uid}`,
    detail: `${formatIdentity(identityOf(source))} on node ${source.node === '' ? '?' : source.node}`,
  };
}

function captureStep({ source, sourceCapture }: WhyQuery): WhyStep {
  const object = `Workload ${source.uid}`;
  if (source.tunnelProtocol !== 'hbone')
    return {
      step: 'capture',
      outcome: 'not enrolled: its connections leave as they are, without identity',
      object,
    };
  if (sourceCapture === undefined)
    return {
      step: 'capture',
      outcome: 'enrolled; it runs on another node, whose capture is not seen here',
      object,
    };
  const { phase, detail } = sourceCapture;
  return { step: 'capture', outcome: phase, object, ...(detail !== '' && { detail }) };
}

function waypointSteps({ context }: OutboundRoute): WhyStep[] {
  const { waypoint } = context;
  if (waypoint === undefined) return [];
  const { configuredOn, gateway, workload } = waypoint;
  const object =
    configuredOn.kind === 'service'
      ? `Service ${serviceKey(configuredOn.service)}`
      : `Workload ${configuredOn.workload.uid}`;
  const chosen = workload === undefined ? 'no usable instance' : `through ${workload.uid}`;
  return [{ step: 'waypoint', outcome: chosen, object, detail: formatGateway(gateway) }];
}

function endpointSteps(query: WhyQuery, route: OutboundRoute): WhyStep[] {
  const { service, waypoint, destination } = route.context;
  if (service === undefined || waypoint !== undefined || service.loadBalancing.mode === 'passthrough')
    return [];
  const { snapshot, source, originalDst } = query;
  const key = serviceKey(service);
  const ipv6 = isIpv6(originalDst.ip);
  const candidates = candidatesOf(
    { service, servicePort: originalDst.port, source, ipv6 },
    snapshot.endpointsOf(key),
  );
  if (candidates.length === 0)
    return [
      { step: 'endpoint', outcome: 'none: no workload is behind the service', object: `Service ${key}` },
    ];
  const usable = candidates.filter((candidate) => candidate.kind === 'usable').length;
  const steps = candidates.slice(0, candidatesShownMax).map((candidate): WhyStep => {
    if (candidate.kind === 'refused')
      return {
        step: 'endpoint',
        outcome: `not used: ${candidate.refusal.replaceAll('_', ' ')}`,
        object: `Workload ${candidate.workload.uid}`,
      };
    const { workload, ip, port } = candidate.endpoint;
    const chosen = workload.uid === destination?.uid;
    return {
      step: 'endpoint',
      outcome: chosen ? `drawn from ${usable} usable` : 'usable',
      object: `Workload ${workload.uid}`,
      detail: `${formatSocketAddress({ ip, port })} capacity ${workload.capacity}`,
    };
  });
  const hidden = candidates.length - steps.length;
  return hidden > 0
    ? [...steps, { step: 'endpoint', outcome: `and ${hidden} more`, object: `Service ${key}` }]
    : steps;
}

function routeStep(route: OutboundRoute, captured: boolean): WhyStep {
  switch (route.kind) {
    case 'refuse':
      return { step: 'route', outcome: `refused: ${route.reason}`, detail: route.message };
    case 'plain':
      return {
        step: 'route',
        outcome: `plain TCP to ${formatSocketAddress(route.to)}: ${route.cause.replaceAll('_', ' ')}`,
      };
    case 'tunnel':
      return captured
        ? {
            step: 'route',
            outcome: `mutual TLS to ${formatSocketAddress(route.via)}, CONNECT ${formatSocketAddress(route.target)}`,
            object: `Workload ${route.peer.uid}`,
            detail: `expects ${route.expectedIdentities.join(' or ')}`,
          }
        : {
            step: 'route',
            outcome: `plain TCP to ${formatSocketAddress(route.target)}: the source is not captured`,
            object: `Workload ${route.peer.uid}`,
          };
  }
}

function joinedStep(route: OutboundRoute): WhyStep {
  const { destination } = route.context;
  return {
    step: 'route',
    outcome:
      `joined on this node with ${route.kind === 'tunnel' ? formatSocketAddress(route.target) : 'it'}` +
      ' (sameNode: direct): no tunnel, no TLS, nothing on a wire',
    ...(destination !== undefined && { object: `Workload ${destination.uid}` }),
    detail: 'identities are those of the two captures; a NetworkPolicy between the pods is not asked',
  };
}

function policySteps(
  { snapshot, source }: WhyQuery,
  route: Exclude<OutboundRoute, { kind: 'refuse' }>,
  sourceIp: SocketAddress['ip'],
  captured: boolean,
): { readonly allowed: boolean; readonly steps: readonly WhyStep[] } {
  const { waypoint, destination } = route.context;
  if (waypoint !== undefined && captured)
    return {
      allowed: true,
      steps: [
        {
          step: 'policy',
          outcome: 'the waypoint decides',
          object: `Waypoint ${formatGateway(waypoint.gateway)}`,
        },
      ],
    };
  if (destination === undefined)
    return {
      allowed: true,
      steps: [{ step: 'policy', outcome: 'none applies: the destination is not in the mesh' }],
    };
  if (destination.tunnelProtocol !== 'hbone' || (route.kind === 'plain' && route.cause === 'own_address'))
    return { allowed: true, steps: [{ step: 'policy', outcome: 'none is enforced at the destination' }] };
  const { decision, policies } = explain(snapshot.policiesFor(destination), {
    sourceIp,
    destination: route.kind === 'tunnel' ? route.target : route.to,
    ...(captured && route.kind === 'tunnel' && { sourceIdentity: identityOf(source) }),
  });
  const verdict: WhyStep = {
    step: 'verdict',
    outcome: decision.allow ? `allowed: ${decision.reason.replaceAll('_', ' ')}` : describeDenial(decision),
    ...(decision.policy !== undefined && { object: `Policy ${decision.policy}` }),
    ...(decision.dryRun.length > 0 && { detail: `dry run would deny: ${decision.dryRun.join(', ')}` }),
  };
  return { allowed: decision.allow, steps: [...policies.map(policyStep), verdict] };
}

function policyStep({ policy, matched, rule, observations }: PolicyExplanation): WhyStep {
  const kind = `${policy.action.toUpperCase()}${policy.dryRun ? ' (dry run)' : ''}`;
  const failed = [
    ...new Set(
      observations
        .filter((each) => !each.holds)
        .map((each) => `rule ${each.rule + 1}: ${each.field} does not hold`),
    ),
  ];
  return {
    step: 'policy',
    outcome: matched ? `${kind} matches by rule ${rule + 1}` : `${kind} does not match`,
    object: `Policy ${policyKey(policy)}`,
    ...(!matched && failed.length > 0 && { detail: failed.join('; ') }),
  };
}
