// What the engine holds for others is bounded, per stream and in all.
import assert from 'node:assert/strict';
import { EngineNode, type NodeOptions, clientId, holds, serverId, tunnelTo } from '../support/engine-node.ts';
import { Outside } from '../support/outside.ts';

const kib = 1024;
/** docs/limits.md: the largest window, and the last chunk that is not full. */
const streamBytesMax = 4096 * kib + 16 * kib;
/** One block of output per tunnel while there is any. */
const outputBytes = 384 * kib;

describe('the memory of an engine', function () {
  this.timeout(60_000);
  let node: EngineNode | undefined;
  let outside: Outside;
  beforeEach(() => (outside = new Outside()));
  afterEach(async () => {
    node?.close();
    node = undefined;
    await outside.close();
  });

  /** So many streams whose application reads nothing and whose client sends what it can; the bytes that are held then. */
  async function heldBy(streams: number, options: NodeOptions = {}): Promise<number> {
    const started = await EngineNode.start(options);
    node = started;
    const port = Number(await outside.ask('sink'));
    const client = await started.addPod('client', clientId);
    const server = await started.addPod('server', serverId);
    started.onOutbound = () => tunnelTo(server.hbone, port);
    await outside.ask(`fill ${streams} ${client.outbound.port}`);
    return started.engine.stats().bufferedBytes;
  }

  it('holds for a stream whose application reads nothing no more than its window', async () => {
    const streams = 8;

    const held = await heldBy(streams);

    assert.ok(held > 0, 'the test fills something');
    assert.ok(held <= streams * streamBytesMax + 2 * outputBytes, `${held} bytes for ${streams} streams`);
  });

  it('lets no window grow once half of the budget is used or promised', async () => {
    const budget = 2048 * kib;

    const held = await heldBy(1, { limits: { bufferBytes: budget } });

    assert.ok(held <= budget / 2 + 512 * kib + outputBytes, `${held} bytes`);
  });

  it('holds in all what its budget says, and a receive', async () => {
    const budget = 2048 * kib;

    const held = await heldBy(32, { limits: { bufferBytes: budget } });

    assert.ok(held <= budget + 1024 * kib, `${held} bytes`);
    assert.ok((node?.engine.stats().counters['buffer_bytes'] ?? 0) > 0);
  });

  it('gives all of it back', async () => {
    await heldBy(8);

    await outside.close();
    outside = new Outside();

    await holds(() => assert.equal(node?.engine.stats().connections, 0));
    await holds(() => assert.equal(node?.engine.stats().bufferedBytes, 0));
  });
});
