// What a ztunnel holds while nothing happens, compiled, as nodes run it: the budget of docs/performance.md.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildLoad } from '../bench/world/load.ts';
import { World } from '../bench/world/world.ts';
import { eventually } from '../support/eventually.ts';
import { requireRoot } from '../support/netns.ts';

const root = join(import.meta.dirname, '../..');
const megabytesMax = 90;

describe('an idle ztunnel', function () {
  this.timeout(240_000);
  let compiled: string;

  before(function () {
    requireRoot(this);
    // Below the repository, so that packages and the addon are found.
    mkdirSync(join(root, 'build'), { recursive: true });
    compiled = mkdtempSync(join(root, 'build/compiled-'));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', compiled], {
      cwd: root,
    });
  });

  after(() => {
    if (compiled !== undefined) rmSync(compiled, { recursive: true });
  });

  it(`holds at most ${megabytesMax} MB`, async () => {
    // As bin/culvert.js starts it.
    const culvert = [process.execPath, '--max-semi-space-size=2', join(compiled, 'cli/main.js')];
    const tools = { culvert, load: await buildLoad(), envoy: '', haproxy: '', filesMax: 1024 };
    const world = await World.start({ tools, progress: () => undefined, sides: ['culvert'] });
    try {
      let megabytes = Infinity;
      await eventually(
        `at most ${megabytesMax} MB on both nodes`,
        async () => {
          const both = await world.memory('culvert');
          megabytes = Math.max(...both.map(({ residentBytes }) => residentBytes)) / 1e6;
          return megabytes <= megabytesMax;
        },
        30_000,
      ).catch((error: unknown) => assert.fail(`${megabytes} MB: ${String(error)}`));
    } finally {
      await world.close();
    }
  });
});
