// Reads import lines and knows the layers of docs/ARCHITECTURE.md.
import { posix } from 'node:path';

/** Components by layer; those of one layer in `apart` never import each other. */
const layers: readonly { readonly components: readonly string[]; readonly apart: boolean }[] = [
  { components: ['mesh', 'runtime'], apart: true },
  { components: ['authz'], apart: true },
  { components: ['xds', 'engine', 'identity', 'kubernetes'], apart: true },
  { components: ['ztunnel', 'waypoint', 'controller'], apart: true },
  { components: ['cli', 'playground'], apart: false },
];

/** What a file imports: paths from the root for its own (`src/mesh/address.ts`), else the specifier as it is. */
export function importsOf(
  file: string,
  text: string,
  options: { readonly types: boolean } = { types: true },
): string[] {
  const found: string[] = [];
  const statement = /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
  for (const [, type, specifier] of text.matchAll(statement))
    if (options.types || type === undefined) found.push(specifier ?? '');
  // A dynamic import is loaded later: it makes no circle, but it is a dependency.
  if (options.types)
    for (const [, specifier] of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
      found.push(specifier ?? '');
  return found.map((specifier) =>
    specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier,
  );
}

/** `@grpc/grpc-js/build/x` -> `@grpc/grpc-js`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Why a file may not import this; undefined if it may. */
export function forbiddenImport(file: string, target: string): string | undefined {
  const from = componentOf(file);
  const to = componentOf(target);
  if (from === undefined || to === undefined || from === to)
    return from !== undefined && target.startsWith('test/') ? `${file}: ${target} is a test` : undefined;
  const [low, high] = [layerOf(to), layerOf(from)];
  if (low < 0 || high < 0) return `${file}: ${low < 0 ? to : from} is in no layer`;
  if (low > high) return `${file}: ${from} may not know ${to}, which is above it`;
  if (low === high && layers[low]?.apart === true)
    return `${file}: ${from} and ${to} never import each other`;
  return undefined;
}

/** A circle of files, first and last the same; empty if there is none. */
export function findCycle(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): readonly string[] => {
    const at = way.indexOf(file);
    if (at >= 0) return [...way.slice(at), file];
    if (done.has(file)) return [];
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...way, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

function componentOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

function layerOf(component: string): number {
  return layers.findIndex(({ components }) => components.includes(component));
}
