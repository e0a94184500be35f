import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The version of the package: of the nearest package.json above, since src/ and dist/ are not equally deep. */
export function version(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory)
    directory = dirname(directory);
  const text = readFileSync(join(directory, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
