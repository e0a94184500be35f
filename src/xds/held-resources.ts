// What a client keeps from stream to stream: the versions of what it holds, by type, so that a reconnect costs nothing.
import type { InvalidResource } from './decoded.ts';
import type { DeltaDiscoveryResponse } from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import type { TypeUrl } from './types.ts';

export class HeldResources {
  readonly #versions = new Map<TypeUrl, Map<string, string>>();

  /** A resource that was rejected keeps the version it had, so that it is sent again after a reconnect. */
  apply(typeUrl: TypeUrl, response: DeltaDiscoveryResponse, problems: readonly InvalidResource[]): void {
    const versions = this.#of(typeUrl);
    const rejected = new Set(problems.map((problem) => problem.name));
    for (const name of response.removedResources) versions.delete(name);
    for (const { name, version } of response.resources)
      if (rejected.has(name)) versions.set(name, versions.get(name) ?? '');
      else versions.set(name, version);
  }

  versions(typeUrl: TypeUrl): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#of(typeUrl));
  }

  count(typeUrl: TypeUrl): number {
    return this.#versions.get(typeUrl)?.size ?? 0;
  }

  #of(typeUrl: TypeUrl): Map<string, string> {
    let versions = this.#versions.get(typeUrl);
    if (versions === undefined) this.#versions.set(typeUrl, (versions = new Map<string, string>()));
    return versions;
  }
}
