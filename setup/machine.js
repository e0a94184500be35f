// What the machine must be, each thing with one line that says what is missing and how to get it. Deciding is apart
// from looking, so that it can be tested for machines that are not this one.
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** An sk_lookup program can tell a dial from an arrival (ingress_ifindex) from here on; as src/engine/preflight.ts. */
const kernelMin = [5, 17];
const nodeMin = 18;
const capabilities = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 };

/** What is seen of this machine. */
export function inspectMachine() {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  return {
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    uid: process.getuid?.() ?? -1,
    kernel: release(),
    hasBpf: existsSync('/sys/fs/bpf'),
    hasBtf: existsSync('/sys/kernel/btf/vmlinux'),
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`),
  };
}

/** What keeps this machine from running a mesh; the first line is the one to act on. Empty: nothing. */
export function machineFaults(machine) {
  if (Number.parseInt(machine.node, 10) < nodeMin)
    return [
      `Node ${machine.node} is too old to set up with: any from ${nodeMin} on will do, the rest runs under its own`,
    ];
  if (machine.platform !== 'linux')
    return [`Linux is needed and this is ${machine.platform}: use a Linux machine or VM`];
  const faults = [];
  if (machine.arch !== 'x64' && machine.arch !== 'arm64')
    faults.push(`the processor is ${machine.arch}; x64 and arm64 are supported`);
  if (machine.uid !== 0)
    faults.push('root is needed to make network namespaces and load eBPF: run the same command with sudo');
  const [major = 0, minor = 0] = machine.kernel.split('.').map(Number.parseFloat);
  if (major < kernelMin[0] || (major === kernelMin[0] && minor < kernelMin[1]))
    faults.push(`the kernel is ${machine.kernel} and ${kernelMin.join('.')} is needed: upgrade it`);
  if (!machine.hasBpf)
    faults.push(
      'the kernel has no eBPF (/sys/fs/bpf is not there): use one built with CONFIG_BPF_SYSCALL=y, and mount /sys',
    );
  if (!machine.hasBtf)
    faults.push(
      'the kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y, as distributions do',
    );
  const lacking = Object.entries(capabilities)
    .filter(([, bit]) => (machine.capabilities & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  if (machine.uid === 0 && lacking.length > 0)
    faults.push(
      `this root lacks ${lacking.join(' and ')}: in a container, start it with \`docker run --privileged\``,
    );
  return faults;
}
