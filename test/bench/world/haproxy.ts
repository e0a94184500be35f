// HAProxy as a rival: TLS 1.3 with certificates of both ends, a TLS connection for each connection of a client. Tuned: a
// thread per core, no log, buffers as they are, sessions resumed (its default) unless every handshake shall be cold.
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Mesh } from '../../../src/playground/mesh.ts';
import { PlaygroundProcess } from '../../../src/playground/process.ts';
import { issueCertificate } from '../../support/envoy.ts';
import type { Service } from './manifest.ts';
import { clientPod, podAddress, ports, serverPod } from './manifest.ts';

/** Where clients dial it, on loopback of their pod; the server's end listens on the same numbers. */
export const haproxyPorts: Readonly<Record<Service, number>> = { echo: 17_000, sink: 17_001 };

export interface HaproxyRivalOptions {
  readonly program: string;
  readonly mesh: Mesh;
  readonly filesMax: number;
  /** No session is resumed. */
  readonly cold: boolean;
}

/** Starts both ends: the client's, the server's. */
export async function startHaproxyRival(options: HaproxyRivalOptions): Promise<readonly PlaygroundProcess[]> {
  const services = Object.entries(ports) as readonly (readonly [Service, number])[];
  const far = podAddress(serverPod('haproxy'));
  const reuse = options.cold ? ' no-ssl-reuse' : '';
  const client = (tls: string): readonly string[] =>
    services.map(
      ([service]) => `listen ${service}
  bind 127.0.0.1:${haproxyPorts[service]}
  server peer ${far}:${haproxyPorts[service]} ssl ${tls} verify required${reuse}`,
    );
  const server = (tls: string): readonly string[] =>
    services.map(
      ([service, port]) => `listen ${service}
  bind 0.0.0.0:${haproxyPorts[service]} ssl ${tls} verify required
  server application 127.0.0.1:${port}`,
    );
  return [
    await startIn(options, clientPod('haproxy'), client),
    await startIn(options, serverPod('haproxy'), server),
  ];
}

async function startIn(
  { mesh, program, filesMax }: HaproxyRivalOptions,
  pod: string,
  listeners: (tls: string) => readonly string[],
): Promise<PlaygroundProcess> {
  const { chain, key, roots } = await issueCertificate(mesh, `spiffe://cluster.local/ns/plain/sa/${pod}`);
  const file = (suffix: string): string => join(mesh.paths.directory, `haproxy-${pod}.${suffix}`);
  await writeFile(file('pem'), `${chain}\n${key}`, { mode: 0o600 });
  await writeFile(file('roots.pem'), roots);
  const tls = `crt ${file('pem')} ca-file ${file('roots.pem')}`;
  await writeFile(file('cfg'), [preamble(filesMax), ...listeners(tls)].join('\n\n') + '\n');
  return await PlaygroundProcess.start({
    name: `haproxy of ${pod}`,
    netns: mesh.netns(pod),
    view: 'pod',
    command: [program, '-db', '-f', file('cfg')],
    cwd: mesh.paths.directory,
    logFile: join(mesh.paths.logs, `haproxy-${pod}.log`),
  });
}

/** Each connection is two files. */
function preamble(filesMax: number): string {
  const most = Math.min(60_000, Math.floor((filesMax - 200) / 2));
  return `global
  maxconn ${most}
  nbthread ${availableParallelism()}
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3

defaults
  mode tcp
  maxconn ${most}
  backlog 4096
  timeout connect 5s
  timeout client 1h
  timeout server 1h`;
}
