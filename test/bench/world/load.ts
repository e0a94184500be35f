// Compiles the load program at first use and after each change of its sources.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const sources = join(import.meta.dirname, '..', 'load');
const flags = ['-D_GNU_SOURCE', '-std=gnu17', '-O2', '-Wall', '-Wextra', '-Werror'];

/** Path of the program in ~/.cache/culvert/bench, by a hash of sources and flags. Throws what the compiler says. */
export async function buildLoad(): Promise<string> {
  const files = (await readdir(sources)).filter((name) => /\.[ch]$/.test(name)).sort();
  const hash = createHash('sha256').update(flags.join(' '));
  for (const name of files) hash.update(await readFile(join(sources, name)));
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const directory = join(cache, 'culvert', 'bench', hash.digest('hex').slice(0, 16));
  const program = join(directory, 'load');
  if (existsSync(program)) return program;
  await mkdir(directory, { recursive: true });
  // Complete or absent: another run may look for it meanwhile.
  const staging = `${program}.${process.pid}`;
  const inputs = files.filter((name) => name.endsWith('.c')).map((name) => join(sources, name));
  await promisify(execFile)('cc', [...flags, '-o', staging, ...inputs]);
  await rename(staging, program);
  return program;
}
