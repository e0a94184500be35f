// What most questions share: a world with all sides, and the same measurement of each.
import type { Context, Trial } from '../question.ts';
import type { Side } from '../world/manifest.ts';
import { sides } from '../world/manifest.ts';
import type { WorldOptions } from '../world/world.ts';
import { World } from '../world/world.ts';

export async function compareSides(
  { tools, progress }: Context,
  options: Pick<WorldOptions, 'ztunnelFlags' | 'cold'> & { readonly sides?: readonly Side[] },
  measure: (world: World, side: Side) => Promise<Readonly<Record<string, number>>>,
): Promise<Trial> {
  const world = await World.start({ tools, progress, sides, ...options });
  return {
    measure: (contestant) => measure(world, contestant as Side),
    close: () => world.close(),
  };
}
