// Says, before anything is attached, whether this machine can capture: one finding a check, each with what to do.
import {
  accessSync,
  closeSync,
  constants as fsConstants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { captureAddon, type CaptureAddon, errnoName, type NativeCapture } from './capture-native.ts';
import type { PreflightFinding } from './capture-types.ts';
import { captureDefaults } from './capture.ts';
import { messageOf } from '../runtime/errors.ts';

/** `bpf_sk_lookup.ingress_ifindex`, by which a dial is told from an arrival, came with 5.17. */
export const KERNEL_MIN: readonly [number, number] = [5, 17];

/** linux/capability.h. CAP_SYS_ADMIN (21) stands in for CAP_PERFMON and CAP_BPF. */
const CAPABILITIES = { NET_ADMIN: 12, SYS_ADMIN: 21 } as const;

export interface PreflightOptions {
  /** Where pins will be. */
  readonly bpffs?: string;
  /** Connections between two pods of this node are to be joined without a tunnel. */
  readonly joinSameNode?: boolean;
  /** This machine captures pods already, by an earlier process: what that shows is not tried out again. */
  readonly captures?: boolean;
}

/** Every check, in the order in which an operator would mend them. */
export function preflight(options: PreflightOptions = {}): PreflightFinding[] {
  const findings = checkMachine(options.bpffs ?? captureDefaults.bpffs, options.captures ?? false);
  return options.joinSameNode === true ? [...findings, sameNodeCaution] : findings;
}

const sameNodeCaution: PreflightFinding = {
  check: 'same node',
  ok: true,
  caution: true,
  detail:
    'sameNode is direct: no packet passes between two pods of this node, so a NetworkPolicy engine does not see ' +
    "their connections; Culvert's own policies hold as ever",
};

function checkMachine(bpffs: string, captures: boolean): PreflightFinding[] {
  const findings = [
    checkKernel(release()),
    checkCapabilities(readFileSync('/proc/self/status', 'utf8')),
    checkBtf('/sys/kernel/btf/vmlinux'),
  ];
  const addon = attempt('addon', () => captureAddon());
  if ('finding' in addon) return [...findings, addon.finding];
  findings.push({ check: 'addon', ok: true, detail: 'the native addon is loaded' });
  const mounted = checkBpffs(addon.value, bpffs);
  findings.push(mounted);
  // The rehearsal needs all of the above; its failures would only repeat them.
  return !captures && findings.every((finding) => finding.ok)
    ? [...findings, ...rehearse(addon.value, bpffs)]
    : findings;
}

/** `version` as uname gives it: `6.1.0-18-amd64`. */
export function checkKernel(version: string): PreflightFinding {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor, wantedMinor] = KERNEL_MIN;
  const ok = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  return {
    check: 'kernel',
    ok,
    detail: ok
      ? `Linux ${version}`
      : `Linux ${version} is too old: capture needs ${wantedMajor}.${wantedMinor} (sk_lookup with the incoming interface); update the kernel`,
  };
}

/** `status` is the text of /proc/self/status. */
export function checkCapabilities(status: string): PreflightFinding {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const missing = Object.entries(CAPABILITIES)
    .filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  return {
    check: 'capabilities',
    ok: missing.length === 0,
    detail:
      missing.length === 0
        ? 'NET_ADMIN and SYS_ADMIN are there'
        : `missing ${missing.join(', ')}: run as root, or add them to the container's capabilities`,
  };
}

function checkBtf(path: string): PreflightFinding {
  try {
    accessSync(path, fsConstants.R_OK);
    return { check: 'btf', ok: true, detail: `${path} is readable` };
  } catch {
    return {
      check: 'btf',
      ok: false,
      detail: `${path} cannot be read: use a kernel built with CONFIG_DEBUG_INFO_BTF, and mount /sys`,
    };
  }
}

/**
 * Mounts bpffs, and makes `path` if that is a directory within it (two proxies of one machine shall not see each other's
 * pins). In this order: while nothing is mounted at /sys/fs/bpf, sysfs answers ENOENT to a mkdir in it, and Node's
 * recursive mkdir then tries for ever.
 */
function checkBpffs(addon: CaptureAddon, path: string): PreflightFinding {
  const home = captureDefaults.bpffs;
  const within = path.startsWith(`${home}/`);
  const status = addon.mountBpffs(within ? home : path);
  if (status >= 0 && within) mkdirSync(path, { recursive: true });
  return {
    check: 'bpffs',
    ok: status >= 0,
    detail:
      status >= 0
        ? `bpffs is mounted at ${path}`
        : `no bpffs at ${path}, and it cannot be mounted (${errnoName(status)}): mount -t bpf bpf ${path}`,
  };
}

/** Attaches everything to an empty namespace that nobody uses, and takes it away. */
function rehearse(addon: CaptureAddon, bpffs: string): PreflightFinding[] {
  const netns = addon.scratchNetns();
  if (netns < 0) {
    return [finding(addon, 'namespace', netns, '', 'allow new network namespaces (CONFIG_NET_NS)')];
  }
  const directory = mkdtempSync(join(bpffs, 'culvert-preflight-'));
  const native = new addon.Capture();
  try {
    const opened = native.open(netns);
    if (opened < 0) return [finding(addon, 'namespace', opened, '', 'allow setns')];
    return [
      finding(
        addon,
        'programs',
        native.load(directory, captureDefaults.hbonePort, captureDefaults.mark, captureDefaults.mark + 2),
        'the redirect and the guard pass the verifier',
        'use a kernel with CONFIG_BPF_SYSCALL and CONFIG_BPF_STREAM_PARSER',
      ),
      finding(
        addon,
        'sk_lookup',
        native.attachRedirect(),
        'sk_lookup attaches',
        'use a kernel with CONFIG_INET',
      ),
      rehearseGuard(addon, native),
      finding(
        addon,
        'iter/tcp',
        new addon.SocketMarker().load(),
        'existing connections can be marked',
        'use a kernel with CONFIG_BPF_EVENTS and BTF',
      ),
    ];
  } finally {
    native.close();
    rmSync(directory, { recursive: true, force: true });
    closeSync(netns);
  }
}

function rehearseGuard(addon: CaptureAddon, native: NativeCapture): PreflightFinding {
  const loopback = 1;
  if (native.attachGuard(loopback, false) === 0) {
    return { check: 'egress guard', ok: true, detail: 'by tcx' };
  }
  addon.takeText();
  return finding(
    addon,
    'egress guard',
    native.attachGuard(loopback, true),
    'by a filter on clsact, since this kernel has no tcx',
    'use a kernel with tcx (6.6), or with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF',
  );
}

function finding(
  addon: CaptureAddon,
  check: string,
  status: number,
  good: string,
  advice: string,
): PreflightFinding {
  if (status >= 0) return { check, ok: true, detail: good };
  const text = addon.takeText().trim().split('\n').at(-1) ?? '';
  return { check, ok: false, detail: `${errnoName(status)}${text === '' ? '' : ` (${text})`}: ${advice}` };
}

function attempt<T>(check: string, work: () => T): { value: T } | { finding: PreflightFinding } {
  try {
    return { value: work() };
  } catch (error) {
    return { finding: { check, ok: false, detail: messageOf(error) } };
  }
}
