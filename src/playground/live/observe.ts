// Asks all nodes for their open connections and reads what their access logs say of those that ended.
import { adminJson } from '../admin.ts';
import type { Mesh } from '../mesh.ts';
import { parseAccessLine } from './access-log.ts';
import { readLiveConnections } from './connections.ts';
import type { ObservedConnection } from './flows.ts';
import { Tail } from './tail.ts';

/** Returns the function that gathers, each time it is called, what is open now and what has ended since. */
export function observeMesh(mesh: Mesh): () => Promise<readonly ObservedConnection[]> {
  const tails = new Map(mesh.shop.nodes.map((node) => [node, new Tail(mesh.ztunnelLog(node))]));
  return async () => {
    const perNode = mesh.shop.nodes.map(async (node) => {
      const tail = tails.get(node);
      const first = tail?.lines ?? 0;
      const lines = (await tail?.read()) ?? [];
      const ended = lines.flatMap((line, index) => parseAccessLine(node, line, first + index) ?? []);
      const open = readLiveConnections(
        node,
        await adminJson<unknown>(mesh.adminSocket(node), '/connections'),
      );
      return [...ended, ...open];
    });
    return (await Promise.all(perNode)).flat();
  };
}
