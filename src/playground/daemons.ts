// The command lines of the playground's real processes: one controller, one ztunnel per node, as an operator would
// start them on one machine. Everything they need is said here, nothing is left to a default that is shared.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { holderPath } from '../engine/addon.ts';
import { adminSocketPath } from '../runtime/process-registry.ts';
import { controllerAddress } from './topology/plan.ts';

/** Where the parts of a run are, below its directory. */
export interface RunPaths {
  readonly directory: string;
  readonly manifests: string;
  readonly programs: string;
  readonly logs: string;
  /** Pins of all nodes, under bpffs. */
  readonly pins: string;
}

export interface DaemonOptions {
  readonly certificateLifetime: string;
  readonly drainTimeout: string;
  /** What starts Culvert's command line: this checkout's own sources unless said. */
  readonly program?: readonly string[];
  /** Flags of the ztunnels beside those that a playground needs; by name, without dashes. */
  readonly ztunnelFlags?: Readonly<Record<string, string>>;
  /** The ztunnels' setting of that name. */
  readonly sameNode?: SameNode | undefined;
}

export type SameNode = 'tunnel' | 'direct';

/** What goes with one node. */
export interface NodePaths {
  readonly adminSocket: string;
  readonly podsSocket: string;
  readonly tokenFile: string;
}

const main = fileURLToPath(new URL(`../cli/main${import.meta.filename.slice(-3)}`, import.meta.url));
const ownSources = [process.execPath, main];
const port = 15_012;

export function runPaths(id: string, directory: string, manifests?: string): RunPaths {
  return {
    directory,
    manifests: manifests ?? join(directory, 'manifests'),
    programs: join(directory, 'programs'),
    logs: join(directory, 'logs'),
    pins: `/sys/fs/bpf/${id}`,
  };
}

export function nodePaths(paths: RunPaths, node: string): NodePaths {
  return {
    adminSocket: adminSocketPath(paths.directory, 'ztunnel', node) ?? '',
    podsSocket: join(paths.directory, `pods-${node}.sock`),
    tokenFile: join(paths.directory, `token-${node}`),
  };
}

export function controllerSocket(paths: RunPaths): string {
  return adminSocketPath(paths.directory, 'controller', 'controller') ?? '';
}

/** Flags are written from `[name, value]` pairs: `--name=value`. */
function flags(values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}

export function controllerCommand(
  paths: RunPaths,
  { program = ownSources }: Pick<DaemonOptions, 'program'> = {},
): readonly string[] {
  return [
    ...program,
    'controller',
    ...flags({
      manifests: paths.manifests,
      'xds-address': `${controllerAddress}:${port}`,
      'server-names': controllerAddress,
      'tokens-file': join(paths.directory, 'tokens.yaml'),
      'ca-directory': join(paths.directory, 'ca'),
      'roots-file': rootsFile(paths),
      'certificate-backdate': '1s', // one clock here; and lifetimes of seconds stay what they are
      'run-directory': paths.directory,
      'metrics-address': '127.0.0.1:15020',
      'readiness-address': '127.0.0.1:15021',
      'log-format': 'text',
    }),
  ];
}

export function ztunnelCommand(paths: RunPaths, node: string, options: DaemonOptions): readonly string[] {
  const own = nodePaths(paths, node);
  return [
    holderPath(),
    '--log-format=json',
    '--',
    ...(options.program ?? ownSources),
    'ztunnel',
    ...flags({
      node,
      'xds-address': `${controllerAddress}:${port}`,
      'xds-root-certificates': rootsFile(paths),
      'token-file': own.tokenFile,
      'pods-socket': own.podsSocket,
      'pins-directory': join(paths.pins, node),
      'run-directory': paths.directory,
      'metrics-address': '127.0.0.1:15020',
      'readiness-address': '127.0.0.1:15021',
      'certificate-lifetime': options.certificateLifetime,
      'drain-timeout': options.drainTimeout,
      ...(options.sameNode !== undefined && { 'same-node': options.sameNode }),
      'audit-interval': '2s', // often enough that a drain and a restart meet one
      'log-format': 'json', // the access log's lines feed the table
      ...options.ztunnelFlags,
    }),
  ];
}

function rootsFile(paths: RunPaths): string {
  return join(paths.directory, 'root-cert.pem');
}
