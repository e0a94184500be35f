// What a controller would say about these files, without one: `culvert policy check`.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../runtime/errors.ts';
import type { Problem } from './problem.ts';
import { unreadable } from './sources/directory/held-file.ts';
import { mergeFiles } from './sources/directory/merge.ts';
import { scanDirectory } from './sources/directory/scan.ts';
import type { FileContent } from './sources/directory/yaml-file.ts';
import { parseYamlFile } from './sources/directory/yaml-file.ts';
import type { MeshSettings } from './translate/settings.ts';
import { defaultMeshSettings } from './translate/settings.ts';
import { translate } from './translate/translate.ts';

/** Reads files, and directories with all that is in them, as one set of manifests. Never throws: a file that cannot be
 *  read is a problem. Errors and warnings, in the order of files. */
export async function checkManifests(
  paths: readonly string[],
  settings: MeshSettings = defaultMeshSettings,
): Promise<readonly Problem[]> {
  const contents: (readonly [string, FileContent])[] = [];
  const problems: Problem[] = [];
  for (const path of paths) {
    for (const file of await filesOf(path)) {
      try {
        const content = parseYamlFile(file, await readFile(file, 'utf8'));
        contents.push([file, content]);
        problems.push(...content.problems);
      } catch (error) {
        problems.push(...unreadable(file, undefined, messageOf(error)).problems);
      }
    }
  }
  const merged = mergeFiles(contents, new Map());
  return [...problems, ...merged.problems, ...translate(merged.objects, settings).problems];
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    return (await scanDirectory(path)).files.map((file) => join(path, file.path));
  } catch {
    // Reading it says why.
    return [path];
  }
}
