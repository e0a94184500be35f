import { readFileSync } from 'node:fs';
import type { TestMesh } from './mesh.ts';

/** The ztunnel of a node itself: the process that the playground started is its holder. */
export function ztunnelPid(mesh: TestMesh, node: string): number {
  const { pid } = mesh.mesh.ztunnel(node);
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}
