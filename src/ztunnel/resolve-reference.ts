// What people write for a workload or a destination, turned into records: for questions, never for traffic.
import type { SocketAddress } from '../mesh/address.ts';
import { parseIp } from '../mesh/address.ts';
import type { Service } from '../mesh/service.ts';
import { serviceKey } from '../mesh/service.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { ZtunnelError } from './errors.ts';

/** `ns/pod`, `ns/deployment`, a uid, an address, or a bare name that only one workload has. Throws
 *  ERR_CULVERT_WHY_UNKNOWN. */
export function resolveWorkload(
  snapshot: MeshSnapshot,
  network: string,
  reference: string,
): { readonly workload: Workload; readonly found: string } {
  const byUid = snapshot.workload(reference);
  if (byUid !== undefined) return { workload: byUid, found: 'by uid' };
  const address = parseIp(reference);
  if (address !== undefined) {
    const at = snapshot.workloadAt(network, address);
    if (at !== undefined) return { workload: at, found: `by address ${address}` };
    const claims = snapshot.workloadsAt(network, address);
    throw unknown(
      claims.length === 0
        ? `no workload has the address ${address}`
        : `${address} is claimed by several workloads: ${claims.map((claim) => claim.uid).join(', ')}`,
    );
  }
  const [first = '', second, ...more] = reference.split('/');
  if (more.length > 0) throw unknown(`no workload is named ${reference}`);
  const [namespace, name] = second === undefined ? [undefined, first] : [first, second];
  const found = named(snapshot, namespace, name);
  const [only] = found;
  if (only === undefined) throw unknown(`no workload is named ${reference}`);
  const namespaces = new Set(found.map((workload) => workload.namespace));
  if (namespaces.size > 1)
    throw unknown(`several namespaces have a workload ${name}: ${[...namespaces].join(', ')}`);
  return { workload: only, found: `by name ${only.namespace}/${only.name}` };
}

/** `<host|ip|ns/service|ns/pod>:<port>`; without a port, the only port of the service. */
export function resolveDestination(
  snapshot: MeshSnapshot,
  source: Workload,
  reference: string,
): { readonly address: SocketAddress; readonly found: string } {
  const match = /^(?:\[([^\]]+)\]|([^\s]+?))(?::(\d{1,5}))?$/.exec(reference);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (host === '' || (port !== undefined && (port === 0 || port > 65535)))
    throw unknown(`${JSON.stringify(reference)} is not <host, address, ns/service or ns/pod>:<port>`);
  const ip = parseIp(host);
  if (ip !== undefined)
    return { address: { ip, port: needPort(port, host) }, found: describeAddress(snapshot, source, ip) };
  const service = findService(snapshot, source.namespace, host);
  const virtual =
    service?.addresses.find((address) => address.network === source.network) ?? service?.addresses[0];
  if (service !== undefined && virtual !== undefined) {
    const only = service.ports.length === 1 ? service.ports[0]?.servicePort : undefined;
    const address = { ip: virtual.ip, port: needPort(port ?? only, host) };
    return { address, found: `Service ${serviceKey(service)}` };
  }
  const qualified = host.includes('/') ? host : `${source.namespace}/${host}`;
  const { workload } = resolveWorkload(snapshot, source.network, service === undefined ? qualified : host);
  const [first] = workload.addresses;
  if (first === undefined) throw unknown(`${workload.uid} has no address yet`);
  return { address: { ip: first, port: needPort(port, host) }, found: `Workload ${workload.uid}` };
}

function describeAddress(snapshot: MeshSnapshot, source: Workload, ip: SocketAddress['ip']): string {
  const service = snapshot.serviceAt(source.network, ip);
  if (service !== undefined) return `Service ${serviceKey(service)}`;
  const workload = snapshot.workloadAt(source.network, ip);
  return workload === undefined ? 'an address outside the mesh' : `Workload ${workload.uid}`;
}

/** Full host name, `ns/service`, `service.ns`, or `service` in the source's namespace, as a resolver would look; a bare
 *  name that only one other namespace has is meant, too. */
function findService(snapshot: MeshSnapshot, namespace: string, host: string): Service | undefined {
  const [full] = snapshot.servicesNamed(host, namespace);
  if (full !== undefined) return full;
  const [first = '', second] = host.split(/[/.]/, 3);
  const [name, wanted] = host.includes('/') ? [second, first] : [first, second];
  const named = [...snapshot.services.values()].filter((service) => service.name === name);
  if (wanted !== undefined) return named.find((service) => service.namespace === wanted);
  return (
    named.find((service) => service.namespace === namespace) ?? (named.length === 1 ? named[0] : undefined)
  );
}

/** By the workload's own name, or else by that of the Deployment or Job that owns it. */
function named(snapshot: MeshSnapshot, namespace: string | undefined, name: string): readonly Workload[] {
  const inNamespace = [...snapshot.workloads.values()].filter(
    (workload) => namespace === undefined || workload.namespace === namespace,
  );
  const own = inNamespace.filter((workload) => workload.name === name);
  return own.length > 0 ? own : inNamespace.filter((workload) => workload.workloadName === name);
}

function needPort(port: number | undefined, host: string): number {
  if (port === undefined) throw unknown(`which port of ${host}? Write ${host}:<port>`);
  return port;
}

function unknown(message: string): ZtunnelError {
  return new ZtunnelError('ERR_CULVERT_WHY_UNKNOWN', message);
}
