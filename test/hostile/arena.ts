// The attacker's process, in a network namespace of its own where every address of a block is local. Run by `Arena`: it
// is told the name of an attack, makes it, and answers with what was measured.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { attacks } from './attacks.ts';
import { Field } from './field.ts';

function prepare(): void {
  const ip = (...args: string[]): void => void execFileSync('ip', args, { env: withoutPreload() });
  ip('link', 'set', 'lo', 'up');
  ip('route', 'add', 'local', '10.77.0.0/16', 'dev', 'lo');
  ip('-6', 'route', 'add', 'local', 'fd77::/32', 'dev', 'lo');
  writeFileSync('/proc/sys/net/ipv6/ip_nonlocal_bind', '1');
  // What an application does not read shall be held by us and not by the kernel.
  for (const buffer of ['tcp_rmem', 'tcp_wmem'])
    writeFileSync(`/proc/sys/net/ipv4/${buffer}`, '4096 65536 65536');
  // Ten thousand connections in a few seconds.
  writeFileSync('/proc/sys/net/ipv4/ip_local_port_range', '10000 65000');
}

function withoutPreload(): NodeJS.ProcessEnv {
  return { ...process.env, LD_PRELOAD: '' };
}

async function answer(field: Field, name: string): Promise<object> {
  const attack = attacks.find((one) => one.name === name);
  if (attack === undefined) return { error: `no attack is called ${name}` };
  try {
    return await field.suffer(attack);
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

prepare();
const field = await Field.start();
process.on('message', (name: string) => void answer(field, name).then((result) => process.send?.(result)));
process.on('disconnect', () => void field.close().finally(() => process.exit()));
process.send?.('ready');
