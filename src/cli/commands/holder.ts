import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from '../errors.ts';
import type { Terminal } from '../terminal.ts';
import { runDirectoryDefault } from '../admin-client.ts';

export function addHolder(program: Command, terminal: Terminal): void {
  program
    .command('holder [ztunnel-options...]')
    .summary('run the proxy of a node, and start it again when it dies')
    .description(
      'Becomes the program that keeps the listeners of the pods, and starts `culvert ztunnel` with these options. ' +
        'SIGHUP replaces the ztunnel without a refused connection.',
    )
    .allowUnknownOption()
    .action(async (options: readonly string[]) => {
      const { holderPath } = await import('../../engine/addon.ts');
      const holder = holderPath();
      const main = fileURLToPath(new URL(`../main${import.meta.filename.slice(-3)}`, import.meta.url));
      // Node itself, not bin/culvert.js: a Node that starts another one closes what the holder hands down.
      const ztunnel = [process.execPath, '--max-semi-space-size=2', main, 'ztunnel', ...options];
      const environment = { ...process.env, NODE_COMPILE_CACHE: await compileCache(terminal) };
      if (!existsSync(holder) || process.execve === undefined)
        throw new CliError(
          'ERR_CULVERT_MACHINE',
          `${holder} is not there; build it with \`npm run build:native\``,
        );
      process.execve(holder, [holder, ...logFormat(options, terminal), '--', ...ztunnel], environment);
    });
}

/** Where what Node has compiled is kept for the next start: below a directory that only we can write. */
async function compileCache({ environment }: Terminal): Promise<string> {
  const named = environment['NODE_COMPILE_CACHE'];
  if (named !== undefined) return named;
  const directory = join(runDirectoryDefault, 'compile-cache');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

function logFormat(options: readonly string[], { environment }: Terminal): readonly string[] {
  const json = options.includes('--log-format=json') || environment['CULVERT_LOG_FORMAT'] === 'json';
  return json ? ['--log-format=json'] : [];
}
