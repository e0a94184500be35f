// The addon's side of capture, as TypeScript sees it: one method per step, failures as -errno.
import { constants } from 'node:os';
import { loadAddon } from './addon.ts';
import { EngineError } from './errors.ts';
import type { FileDescriptor } from './types.ts';

/** Linux numbers that appear in rules and routes. */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const FR_ACT_TO_TBL = 1;
export const FR_ACT_GOTO = 2;
export const FR_ACT_PROHIBIT = 8;
export const RT_TABLE_LOCAL = 255;
export const RTN_LOCAL = 2;
export const RTPROT_KERNEL = 2;
export const IPPROTO_TCP = 6;
/** Scope of an address that is good for any peer (RT_SCOPE_UNIVERSE). */
export const SCOPE_GLOBAL = 0;

export type Family = typeof AF_INET | typeof AF_INET6;

/** A policy rule. Fields that are missing match anything. */
export interface NativeRule {
  readonly family: Family;
  readonly priority: number;
  readonly action: number;
  readonly table?: number;
  readonly target?: number;
  readonly mark?: number;
  readonly ipProtocol?: number;
  readonly destination?: Uint8Array;
  readonly destinationLength?: number;
  readonly sourcePortFirst?: number;
  readonly sourcePortLast?: number;
  readonly destinationPortFirst?: number;
  readonly destinationPortLast?: number;
  /** RTPROT_*: who made it. */
  readonly origin: number;
  /** It says more than these fields can: none of ours. */
  readonly foreign?: boolean;
}

export interface NativeRoute {
  readonly family: Family;
  readonly table: number;
  readonly interface: number;
  readonly destination?: Uint8Array;
  readonly destinationLength?: number;
  readonly source?: Uint8Array;
  readonly origin: number;
  readonly type: number;
}

export interface NativeInterface {
  readonly index: number;
  readonly name: string;
  readonly loopback: boolean;
  readonly rpFilter: number;
  readonly acceptLocal: number;
  readonly ipv6Disabled: boolean;
}

export interface NativeAddress {
  readonly family: Family;
  readonly interface: number;
  readonly bytes: Uint8Array;
  readonly scope: number;
  readonly preferred: boolean;
}

/** A port (any address), a block (any port), or with both a probe: that port, for that address. */
export interface NativePassEntry {
  readonly direction: number;
  readonly address?: Uint8Array;
  readonly length?: number;
  readonly port?: number;
}

export interface NativePodState {
  readonly netnsCookie: bigint;
  readonly phase: number;
  readonly layout: number;
  /** Bit 0: the IPv4 rule `from all lookup local` was moved away from priority 0; bit 1: the IPv6 one. */
  readonly movedLocalRule: number;
}

export interface NativeSavedLink {
  readonly interface: number;
  readonly rpFilter: number;
  readonly acceptLocal: number;
  readonly madeClsact: boolean;
}

/** One pod's namespace. Numbers are 0 or -errno, or a count, unless named otherwise. */
export interface NativeCapture {
  open(netns: FileDescriptor): number;
  /** The descriptor that this object holds of it. */
  netns(): FileDescriptor;
  /** Keeps the map of own addresses current and calls back after each change, with what that returned. */
  watch(changed: (status: number) => void): number;
  close(): void;
  interfaces(): NativeInterface[] | number;
  addresses(): NativeAddress[] | number;
  setInterface(index: number, rpFilter: number, acceptLocal: number): number;
  firstEphemeralPort(): number;
  rules(family: Family): NativeRule[] | number;
  addRule(rule: NativeRule): number;
  deleteRule(rule: NativeRule): number;
  routes(family: Family, table: number): NativeRoute[] | number;
  putRoute(route: NativeRoute): number;
  deleteRoute(route: NativeRoute): number;
  load(directory: string, hbonePort: number, mark: number, keptMark: number): number;
  attachRedirect(): number;
  attachGuard(index: number, clsact: boolean): number;
  detachGuard(index: number, madeClsact: boolean): number;
  checkRedirect(): number;
  checkGuard(index: number): number;
  setListener(which: number, fd: FileDescriptor): number;
  hasListener(which: number): number;
  removeListeners(): number;
  syncAddresses(): number;
  setPassEntries(entries: readonly NativePassEntry[]): number;
  readState(): NativePodState | number;
  writeState(state: NativePodState): number;
  savedLinks(): NativeSavedLink[] | number;
  saveLink(index: number, rpFilter: number, acceptLocal: number, madeClsact: boolean): number;
  counters(): bigint[] | number;
  /** Aborts the connections with this mark. Returns how many. */
  closeConnections(mark: number): number;
}

export interface NativeSocketMarker {
  load(): number;
  /** How many connections of `netns` had mark `from` and now have `to`. `over` is one of `paths`. */
  mark(netns: FileDescriptor, from: number, to: number, over: number): number;
}

export interface CaptureAddon {
  readonly Capture: new () => NativeCapture;
  readonly SocketMarker: new () => NativeSocketMarker;
  /** The enumerations of native/ebpf/types.h. */
  readonly captureContract: {
    readonly layout: number;
    readonly listeners: Readonly<Record<'outbound' | 'plaintext' | 'hbone', number>>;
    readonly phases: Readonly<Record<'captured' | 'released', number>>;
    readonly directions: Readonly<Record<'inbound' | 'outbound', number>>;
    readonly paths: Readonly<Record<'any' | 'notLoopback' | 'outside' | 'loopback', number>>;
    readonly counters: readonly string[];
  };
  /** 0 if it was one, 1 if it was mounted now, or -errno. */
  mountBpffs(path: string): number;
  scratchNetns(): number;
  netnsCookie(netns: FileDescriptor): bigint | number;
  /** TCP sockets of the namespace, those in TIME_WAIT left out. */
  tcpSockets(netns: FileDescriptor): number;
  /** What libbpf said since the last call. */
  takeText(): string;
}

/** The layout of maps that this TypeScript was written for; see CULVERT_LAYOUT. */
export const CAPTURE_LAYOUT = 1;

/** The addon, checked to be of the same build. */
export function captureAddon(): CaptureAddon {
  const addon = loadAddon() as unknown as Partial<CaptureAddon>;
  if (addon.captureContract?.layout !== CAPTURE_LAYOUT) {
    throw new EngineError(
      'ERR_CULVERT_ADDON_INCOMPATIBLE',
      `the native addon has capture layout ${addon.captureContract?.layout ?? 'none'}, this program wants ${CAPTURE_LAYOUT}: rebuild it with \`npm run build:native\``,
    );
  }
  return addon as CaptureAddon;
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** `ENOENT` for 2 or -2. */
export function errnoName(errno: number): string {
  return errnoNames.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}

/** `result` if it is not a failure; otherwise throws, saying which step of which pod failed and why. */
export function checked<T>(addon: CaptureAddon, pod: string, step: string, result: T | number): T {
  if (typeof result !== 'number' || result >= 0) return result as T;
  const text = addon.takeText().trim();
  throw new EngineError(
    'ERR_CULVERT_CAPTURE_FAILED',
    `capture of ${pod}: cannot ${step}: ${errnoName(result)}${text === '' ? '' : ` (${text})`}`,
    { errno: -result },
  );
}
