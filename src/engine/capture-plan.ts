// What a captured namespace looks like: rules, routes and pass entries, computed from the pod's settings.
// architecture.md section 2 draws it. Pure.
//
//   40  fwmark ztunnel             goto 100      ztunnel's own sockets go where they like
//   41  fwmark kept                goto 100      so do connections older than capture
//   43  answers to probes and excluded clients   goto 100
//   44  tcp sport below ephemeral  lookup 133    what the pod serves stays captured, whoever the client is
//   45  dials to excluded places                 goto 100
//   50  tcp                        lookup 133    everything else comes back over lo, to the outbound listener
//   60  tcp                        prohibit      what table 133 does not take (a bound device) is refused
//   100 all                        lookup local  was at 0, where it would hide the rules above
import { type Cidr, type IpAddress, ipToBytes, isIpv6 } from '../mesh/address.ts';
import type { Exclusions } from '../mesh/pod-settings.ts';
import {
  AF_INET,
  AF_INET6,
  type Family,
  FR_ACT_GOTO,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  IPPROTO_TCP,
  type NativeAddress,
  type NativeInterface,
  type NativePassEntry,
  type NativeRoute,
  type NativeRule,
  RT_TABLE_LOCAL,
  RTN_LOCAL,
  SCOPE_GLOBAL,
} from './capture-native.ts';

/** The routing table of captured traffic, and the RTPROT_* number by which our rules and routes are known. */
export const CAPTURE_TABLE = 133;
export const CAPTURE_ORIGIN = 133;
export const LOCAL_RULE_PRIORITY = 100;
const LOOPBACK_INTERFACE = 1;

export interface Marks {
  /** Of ztunnel's sockets. */
  readonly ztunnel: number;
  /** Of captured sockets after release. */
  readonly released: number;
  /** Of connections older than capture. */
  readonly kept: number;
}

export interface PodPlanInput {
  readonly probePorts: readonly number[];
  readonly nodeAddresses: readonly IpAddress[];
  readonly exclusions: Exclusions;
}

/** What is wrong with these settings, or undefined. A port 0 in a rule would mean every port. */
export function planFault(pod: PodPlanInput): string | undefined {
  const { inboundPorts, outboundPorts, inboundCidrs, outboundCidrs } = pod.exclusions;
  const port = [...pod.probePorts, ...inboundPorts, ...outboundPorts].find(
    (port) => !Number.isInteger(port) || port < 1 || port > 65535,
  );
  if (port !== undefined) return `not a port: ${port}`;
  const block = [...inboundCidrs, ...outboundCidrs].find(
    ({ address, length }) => !Number.isInteger(length) || length < 0 || length > (isIpv6(address) ? 128 : 32),
  );
  return block === undefined ? undefined : `not an address block: ${block.address}/${block.length}`;
}

/** What was found in the namespace. */
export interface NamespaceFacts {
  readonly interfaces: readonly NativeInterface[];
  readonly addresses: readonly NativeAddress[];
  /** First port that dials choose by themselves (ip_local_port_range). */
  readonly firstEphemeralPort: number;
}

/** The families that capture covers: IPv6 unless lo has it disabled. */
export function familiesOf(facts: NamespaceFacts): Family[] {
  const loopback = facts.interfaces.find((link) => link.loopback);
  return loopback !== undefined && !loopback.ipv6Disabled ? [AF_INET, AF_INET6] : [AF_INET];
}

/** The rules that must be there before connections are diverted: they change nothing for anybody yet. */
export function preparingRules(family: Family, marks: Marks): NativeRule[] {
  return [
    rule(family, LOCAL_RULE_PRIORITY, { action: FR_ACT_TO_TBL, table: RT_TABLE_LOCAL }),
    bypass(family, 40, { mark: marks.ztunnel }),
    bypass(family, 41, { mark: marks.kept }),
  ];
}

/** Exceptions from capture, in the order in which they are looked at. */
export function exceptionRules(family: Family, pod: PodPlanInput, facts: NamespaceFacts): NativeRule[] {
  const { exclusions } = pod;
  const ofFamily = (block: Cidr): boolean => isIpv6(block.address) === (family === AF_INET6);
  const answers = [
    ...probes(pod)
      .filter(({ node }) => ofFamily({ address: node, length: 0 }))
      .map(({ node, port }) => ({ ...destination(hostBlock(node)), ...sourcePorts(port, port) })),
    ...exclusions.inboundPorts.map((port) => sourcePorts(port, port)),
    ...exclusions.inboundCidrs
      .filter(ofFamily)
      // Only from ports that a server would have: dials to the same block stay captured.
      .map((block) => ({ ...destination(block), ...servedPorts(facts) })),
  ];
  const dials = [
    ...exclusions.outboundPorts.map((port) => ({
      destinationPortFirst: port,
      destinationPortLast: port,
    })),
    ...exclusions.outboundCidrs.filter(ofFamily).map(destination),
  ];
  return [
    ...answers.map((match) => bypass(family, 43, { ipProtocol: IPPROTO_TCP, ...match })),
    ...(dials.length === 0 ? [] : [divert(family, 44, servedPorts(facts))]),
    ...dials.map((match) => bypass(family, 45, { ipProtocol: IPPROTO_TCP, ...match })),
  ];
}

/** The rules that divert. From the first of them on, new connections are captured. */
export function divertingRules(family: Family): NativeRule[] {
  return [divert(family, 50), rule(family, 60, { action: FR_ACT_PROHIBIT, ipProtocol: IPPROTO_TCP })];
}

/** In place of exceptions and diverting rules after release: only sockets captured before still run over lo. */
export function releasedRules(family: Family, marks: Marks): NativeRule[] {
  return [rule(family, 50, { action: FR_ACT_TO_TBL, table: CAPTURE_TABLE, mark: marks.released })];
}

/** Table 133. Source addresses are named, so that connect() chooses what it would have chosen without us. */
export function capturedRoutes(family: Family, facts: NamespaceFacts): NativeRoute[] {
  const base = {
    family,
    table: CAPTURE_TABLE,
    interface: LOOPBACK_INTERFACE,
    origin: CAPTURE_ORIGIN,
    type: RTN_LOCAL,
  };
  const source = podAddress(family, facts);
  const loopback =
    family === AF_INET ? Uint8Array.of(127, 0, 0, 1) : Uint8Array.from({ length: 16 }, (_, i) => +(i === 15));
  const loopbackBlock =
    family === AF_INET
      ? { destination: Uint8Array.of(127, 0, 0, 0), destinationLength: 8 }
      : { destination: loopback, destinationLength: 128 };
  return [
    { ...base, ...(source === undefined ? {} : { source }) },
    { ...base, ...loopbackBlock, source: loopback },
  ];
}

/** What the programs let pass: the same exceptions as the rules, always both. */
export function passEntries(
  pod: PodPlanInput,
  directions: Readonly<Record<'inbound' | 'outbound', number>>,
): NativePassEntry[] {
  const { exclusions } = pod;
  const ports = (direction: number, list: readonly number[]): NativePassEntry[] =>
    list.map((port) => ({ direction, port }));
  const blocks = (direction: number, list: readonly Cidr[]): NativePassEntry[] =>
    list.map((block) => ({ direction, address: ipToBytes(block.address), length: block.length }));
  return [
    ...probes(pod).map(({ node, port }) => ({
      direction: directions.inbound,
      address: ipToBytes(node),
      port,
    })),
    ...ports(directions.inbound, exclusions.inboundPorts),
    ...ports(directions.outbound, exclusions.outboundPorts),
    ...blocks(directions.inbound, exclusions.inboundCidrs),
    ...blocks(directions.outbound, exclusions.outboundCidrs),
  ];
}

/** Equal for rules that the kernel would call the same. */
export function ruleKey(of: NativeRule): string {
  const length = of.destinationLength ?? 0;
  return [
    of.family,
    of.priority,
    of.action,
    of.table ?? 0,
    of.target ?? 0,
    of.mark ?? 0,
    of.ipProtocol ?? 0,
    length === 0 ? '-' : `${Buffer.from(of.destination ?? []).toString('hex')}/${length}`,
    `${of.sourcePortFirst ?? 0}-${of.sourcePortLast ?? 0}`,
    `${of.destinationPortFirst ?? 0}-${of.destinationPortLast ?? 0}`,
  ].join(' ');
}

export function routeKey(of: NativeRoute): string {
  const length = of.destinationLength ?? 0;
  const block = length === 0 ? 'default' : `${Buffer.from(of.destination ?? []).toString('hex')}/${length}`;
  return `${of.family} ${of.table} ${of.type} ${block} dev ${of.interface} src ${of.source === undefined ? '-' : Buffer.from(of.source).toString('hex')}`;
}

/** The first address of `family` that peers know the pod by. */
export function podAddress(family: Family, facts: NamespaceFacts): Uint8Array | undefined {
  const loopbacks = new Set(facts.interfaces.filter((link) => link.loopback).map((link) => link.index));
  return facts.addresses.find(
    (address) =>
      address.family === family &&
      address.preferred &&
      address.scope === SCOPE_GLOBAL &&
      !loopbacks.has(address.interface),
  )?.bytes;
}

function probes(pod: PodPlanInput): { node: IpAddress; port: number }[] {
  return pod.nodeAddresses.flatMap((node) => pod.probePorts.map((port) => ({ node, port })));
}

function hostBlock(address: IpAddress): Cidr {
  return { address, length: isIpv6(address) ? 128 : 32 };
}

function destination(block: Cidr): Pick<NativeRule, 'destination' | 'destinationLength'> {
  return { destination: ipToBytes(block.address), destinationLength: block.length };
}

function sourcePorts(first: number, last: number): Pick<NativeRule, 'sourcePortFirst' | 'sourcePortLast'> {
  return { sourcePortFirst: first, sourcePortLast: last };
}

function servedPorts(facts: NamespaceFacts): Pick<NativeRule, 'sourcePortFirst' | 'sourcePortLast'> {
  return sourcePorts(1, Math.max(1, facts.firstEphemeralPort - 1));
}

type Match = Omit<NativeRule, 'family' | 'priority' | 'origin'>;

function rule(family: Family, priority: number, match: Match): NativeRule {
  return { family, priority, origin: CAPTURE_ORIGIN, ...match };
}

/** As if there were no capture: to the local table, then the others. `lookup main` would miss the pod's own addresses. */
function bypass(family: Family, priority: number, match: Omit<Match, 'action'>): NativeRule {
  return rule(family, priority, { action: FR_ACT_GOTO, target: LOCAL_RULE_PRIORITY, ...match });
}

function divert(family: Family, priority: number, match: Omit<Match, 'action'> = {}): NativeRule {
  return rule(family, priority, {
    action: FR_ACT_TO_TBL,
    table: CAPTURE_TABLE,
    ipProtocol: IPPROTO_TCP,
    ...match,
  });
}
