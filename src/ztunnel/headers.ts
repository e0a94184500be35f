// What travels in a CONNECT beside its authority: who the source is (`baggage`, W3C), where the connection came from
// (`forwarded`, RFC 7239) and an id to find it in both logs (`traceparent`, W3C Trace Context). Peers may send
// anything: what cannot be read is left out, never an error.
import type { SocketAddress } from '../mesh/address.ts';
import { formatSocketAddress, parseSocketAddress } from '../mesh/address.ts';
import type { Workload, WorkloadType } from '../mesh/workload.ts';

export type HeaderList = readonly (readonly [string, string])[];

/** What a peer says of its workload: for telemetry only, never for authorization. */
export interface Baggage {
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workloadType?: WorkloadType;
  readonly workloadName?: string;
  readonly canonicalName?: string;
  readonly canonicalRevision?: string;
  readonly region?: string;
  readonly zone?: string;
}

type TextKey = Exclude<keyof Baggage, 'workloadType'>;

const textKeys: readonly (readonly [string, TextKey])[] = [
  ['k8s.cluster.name', 'cluster'],
  ['k8s.namespace.name', 'namespace'],
  ['service.name', 'canonicalName'],
  ['service.version', 'canonicalRevision'],
  ['cloud.region', 'region'],
  ['cloud.availability_zone', 'zone'],
];
const workloadTypes: readonly WorkloadType[] = ['deployment', 'pod', 'job', 'cronjob'];
const lengthMax = 4096;

/** The value of `baggage` that describes `workload`. Worked out once per workload record. */
export function formatBaggage(workload: Workload): string {
  let text = baggageTexts.get(workload);
  if (text === undefined) baggageTexts.set(workload, (text = baggageText(workload)));
  return text;
}

const baggageTexts = new WeakMap<Workload, string>();

function baggageText(workload: Workload): string {
  const items: readonly (readonly [string, string])[] = [
    ['k8s.cluster.name', workload.clusterId],
    ['k8s.namespace.name', workload.namespace],
    [`k8s.${workload.workloadType}.name`, workload.workloadName],
    ['service.name', workload.canonicalName],
    ['service.version', workload.canonicalRevision],
    ['cloud.region', workload.locality.region],
    ['cloud.availability_zone', workload.locality.zone],
  ];
  return items
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join(',');
}

/** Unknown keys, properties after `;`, and anything malformed are skipped. At most 4 KiB are looked at. */
export function parseBaggage(text: string): Baggage {
  const baggage: { -readonly [K in keyof Baggage]: Baggage[K] } = {};
  for (const item of text.slice(0, lengthMax).split(',')) {
    const [pair = ''] = item.split(';', 1);
    const equals = pair.indexOf('=');
    const key = pair.slice(0, Math.max(0, equals)).trim();
    const value = decoded(pair.slice(equals + 1).trim());
    if (value === undefined || value === '') continue;
    const known = textKeys.find(([name]) => name === key);
    if (known !== undefined) baggage[known[1]] = value;
    const type = workloadTypes.find((each) => key === `k8s.${each}.name`);
    if (type !== undefined) [baggage.workloadType, baggage.workloadName] = [type, value];
  }
  return baggage;
}

/** `for="10.0.0.1:4711";host=cart.shop.svc`, with a place for the client that the engine fills in. */
export function forwardedTemplate(host?: string): string {
  return host === undefined ? 'for="{client}"' : `for="{client}";host=${host}`;
}

/** Headers as the engine would send them. */
export function filledTemplates(headers: HeaderList, client: SocketAddress, trace: string): HeaderList {
  return headers.map(([name, value]) => [
    name,
    value.replace('{client}', formatSocketAddress(client)).replace('{trace}', trace),
  ]);
}

export interface Forwarded {
  readonly source?: SocketAddress;
  readonly host?: string;
}

/** The first element of a `forwarded` header. */
export function parseForwarded(text: string): Forwarded {
  const [element = ''] = text.slice(0, lengthMax).split(',', 1);
  const forwarded: { -readonly [K in keyof Forwarded]: Forwarded[K] } = {};
  for (const pair of element.split(';')) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, equals)).trim().toLowerCase();
    const value = pair
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1');
    const source = name === 'for' ? parseSocketAddress(value) : undefined;
    if (source !== undefined) forwarded.source = source;
    if (name === 'host' && /^[A-Za-z0-9._:-]{1,255}$/.test(value)) forwarded.host = value;
  }
  return forwarded;
}

/** A place for the two ids that the engine draws for each connection. Not sampled. */
export const traceparentTemplate = '00-{trace}-00';

/** The header as received if it is well-formed (version 00, ids not all zero), else undefined. */
export function parseTraceparent(text: string): string | undefined {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text);
  if (match === null || /^0+$/.test(match[1] ?? '') || /^0+$/.test(match[2] ?? '')) return undefined;
  return text;
}

/** The first value of a header; names are lower case, as HTTP/2 has them. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  return headers.find(([key]) => key === name)?.[1];
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a stray `%` from the peer: not worth more than being ignored
  }
}
