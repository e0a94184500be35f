// The addon takes OpenSSL, nghttp2 and libuv from the Node that loads it. A function that this Node does not export
// would be found missing only when the addon is loaded, or first called; here it fails the build, with its name.
import { spawnSync } from 'node:child_process';

/** Symbols that the addon needs and neither Node nor a library it is linked with has. */
export function unresolvedSymbols(addon, nodeBinary) {
  const needed = symbols(['--undefined-only', addon]);
  const offered = new Set(
    [nodeBinary, ...linkedLibraries(addon)].flatMap((file) =>
      symbols(['--defined-only', file]).map(({ name }) => name),
    ),
  );
  return needed
    .filter(({ kind, name }) => kind !== 'w' && kind !== 'v' && !offered.has(name))
    .map(({ name }) => name);
}

function symbols(args) {
  const run = spawnSync('nm', ['-D', '--without-symbol-versions', ...args], {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (run.status !== 0) throw new Error(`nm ${args.join(' ')}: ${run.stderr}`);
  return run.stdout
    .split('\n')
    .map((line) => /([A-Za-z]) (\S+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, kind, name]) => ({ kind, name }));
}

function linkedLibraries(addon) {
  const { stdout } = spawnSync('ldd', [addon], { encoding: 'utf8' });
  return [...stdout.matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(([, path]) => path);
}
