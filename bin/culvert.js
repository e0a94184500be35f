#!/usr/bin/env node
// Starts the command line under the Node that the package brings along: the engine's TLS and HTTP/2 are that Node's.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// A published package holds compiled sources: Node strips no types under node_modules.
const compiled = join(root, 'dist', 'cli', 'main.js');
const main = existsSync(join(root, 'src')) ? join(root, 'src', 'cli', 'main.ts') : compiled;

function bundledNode() {
  try {
    const home = createRequire(import.meta.url).resolve(`node-linux-${process.arch}/package.json`);
    return join(dirname(home), 'bin', 'node');
  } catch {
    return undefined;
  }
}

const node =
  bundledNode() ?? (Number(process.versions.node.split('.')[0]) >= 24 ? process.execPath : undefined);
if (node === undefined) {
  console.error(
    `culvert: Node 24 is needed and this is ${process.versions.node}: run \`npm ci\` in ${root}, it brings one along`,
  );
  process.exit(1);
}
// A proxy is idle most of its life and its garbage is small: a young generation of megabytes stays in memory for nothing.
const flags = process.argv[2] === 'ztunnel' ? ['--max-semi-space-size=2'] : [];
const args = [...flags, main, ...process.argv.slice(2)];

if (flags.length === 0 && realpathSync(node) === realpathSync(process.execPath)) {
  await (await import(main)).main();
} else if (process.execve !== undefined) {
  // In our place, with our process id: nobody is left behind to hand signals on.
  process.execve(node, [node, ...args], process.env);
} else {
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'])
    process.on(signal, () => {
      // The terminal sends Ctrl-C to both of us.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  child.on('error', (error) => {
    console.error(`culvert: ${node}: ${error.message}`);
    process.exit(127);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}
