// What the playground needs of the machine, said in one line each before anything is made.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { podPath } from './process.ts';

const programs = [
  { program: 'ip', package: 'iproute2' },
  { program: 'nsenter', package: 'util-linux' },
  { program: 'python3', package: 'python3' },
  { program: 'curl', package: 'curl' },
  { program: 'iperf3', package: 'iperf3' },
  { program: 'tcpdump', package: 'tcpdump' },
] as const;

/** One sentence per thing that is missing, and how to get it. */
export async function missingRequirements(): Promise<readonly string[]> {
  const missing: string[] = [];
  if (process.platform !== 'linux')
    missing.push('the playground needs Linux: its pods are network namespaces');
  else if (process.getuid?.() !== 0)
    missing.push('the playground makes network namespaces: run it as root (sudo npm start)');
  for (const { program, package: name } of programs)
    if (!(await isInstalled(program))) missing.push(`${program} is missing: apt-get install ${name}`);
  return missing;
}

async function isInstalled(program: string): Promise<boolean> {
  for (const directory of podPath.split(':')) {
    const found = await access(join(directory, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
