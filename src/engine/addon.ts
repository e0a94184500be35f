// The only file that loads the native addon.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../runtime/errors.ts';
import { EngineError } from './errors.ts';

/** What the addon exports. Each user of a class narrows it to its own description of that class. */
export interface Addon {
  readonly version: string;
  readonly [name: string]: unknown;
}

let loaded: Addon | undefined;

/**
 * The native addon, loaded once per process: `build/native/Release/culvert.node` of the package, or the file
 * that CULVERT_ADDON names. Throws ERR_CULVERT_ADDON_MISSING, saying how to build it.
 */
export function loadAddon(): Addon {
  loaded ??= load(addonPath());
  return loaded;
}

/** The program that keeps listeners for the process that it starts: built with the addon, beside it. */
export function holderPath(): string {
  return join(dirname(addonPath()), 'culvert-holder');
}

function addonPath(): string {
  return process.env['CULVERT_ADDON'] ?? join(packageRoot(), 'build', 'native', 'Release', 'culvert.node');
}

function load(path: string): Addon {
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    throw new EngineError(
      'ERR_CULVERT_ADDON_MISSING',
      `cannot load the native addon ${path}: ${messageOf(error)}; build it with \`npm run build:native\``,
      { cause: error },
    );
  }
}

/** The nearest directory above this file with a package.json: src/ and dist/ are not equally deep. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) {
      throw new EngineError('ERR_CULVERT_ADDON_MISSING', 'no package.json above the engine: broken install');
    }
    directory = parent;
  }
  return directory;
}
