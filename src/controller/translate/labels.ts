// Labels and annotations that Culvert reads, under its own name and under Istio's.
import { parseCidr } from '../../mesh/address.ts';
import type { Cidr } from '../../mesh/address.ts';
import type { AnyObject } from '../objects/metadata.ts';
import type { Findings } from './findings.ts';

export type Labels = Readonly<Record<string, string>>;

export const dataplaneModeLabels = ['culvert.dev/dataplane-mode', 'istio.io/dataplane-mode'];
export const dryRunAnnotations = ['culvert.dev/dry-run', 'istio.io/dry-run'];
export const trafficDistributionAnnotations = [
  'culvert.dev/traffic-distribution',
  'networking.istio.io/traffic-distribution',
];
export const canonicalNameLabels = [
  'culvert.dev/canonical-name',
  'service.istio.io/canonical-name',
  'app.kubernetes.io/name',
  'app',
];
export const canonicalRevisionLabels = [
  'culvert.dev/canonical-revision',
  'service.istio.io/canonical-revision',
  'app.kubernetes.io/version',
  'version',
];
export const subzoneLabels = ['culvert.dev/subzone', 'topology.istio.io/subzone'];
export const serviceNameLabel = 'kubernetes.io/service-name';
export const waypointLabels = ['culvert.dev/use-waypoint', 'istio.io/use-waypoint'];
export const tunnelLabel = 'networking.istio.io/tunnel';

/** The first of `names` that is set and not empty, with its value. */
export function firstOf(
  values: Labels,
  names: readonly string[],
): { readonly name: string; readonly value: string } | undefined {
  for (const name of names) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value !== undefined && value !== '') return { name, value };
  }
  return undefined;
}

/** Whether an object says that it is in the mesh; undefined if it does not say, or says something unknown. */
export function dataplaneMode(object: AnyObject, findings: Findings): 'ambient' | 'none' | undefined {
  const label = firstOf(object.metadata.labels, dataplaneModeLabels);
  if (label === undefined) return undefined;
  if (label.value === 'ambient' || label.value === 'none') return label.value;
  const message = `"${label.value}" is neither ambient nor none; it is as if the label were not there`;
  findings.error(object, 'invalid', ['metadata', 'labels', label.name], message);
  return undefined;
}

/** Says that nothing is done about a waypoint that an object asks for: its traffic goes direct. */
export function warnOfWaypoint(object: AnyObject, findings: Findings): void {
  const label = firstOf(object.metadata.labels, waypointLabels);
  if (label === undefined || label.value === 'none') return;
  const message = 'waypoints are not handled by this version; traffic goes direct';
  findings.warning(object, 'unsupported-value', ['metadata', 'labels', label.name], message);
}

/** A comma-separated list of ports. What is not a port is reported and left out. */
export function portList(object: AnyObject, name: string, findings: Findings): readonly number[] {
  const ports = annotationList(object, name, findings, (text) => {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    return port >= 1 && port <= 65535 ? port : undefined;
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** A comma-separated list of address blocks, or of addresses. */
export function cidrList(object: AnyObject, name: string, findings: Findings): readonly Cidr[] {
  return annotationList(object, name, findings, parseCidr);
}

function annotationList<T>(
  object: AnyObject,
  name: string,
  findings: Findings,
  parse: (text: string) => T | undefined,
): readonly T[] {
  const values: T[] = [];
  for (const part of firstOf(object.metadata.annotations, [name])?.value.split(',') ?? []) {
    const text = part.trim();
    if (text === '') continue;
    const value = parse(text);
    if (value !== undefined) values.push(value);
    else
      findings.error(
        object,
        'invalid',
        ['metadata', 'annotations', name],
        `"${text}" is left out: not understood`,
      );
  }
  return values;
}
