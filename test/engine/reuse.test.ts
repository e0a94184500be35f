// Answers that the engine was allowed to give again: it asks no more while their epoch lasts, and always says so.
import assert from 'node:assert/strict';
import type { ConnectEvent, OutboundEvent, TunnelDecision } from '../../src/engine/types.ts';
import {
  Application,
  EngineNode,
  clientId,
  dial,
  readAll,
  serverId,
  tunnelTo,
} from '../support/engine-node.ts';
import type { PodAddresses } from '../support/engine-node.ts';

describe('an answer that may be given again', () => {
  let node: EngineNode;
  let application: Application;
  let client: PodAddresses;
  let server: PodAddresses;

  beforeEach(async () => {
    application = await Application.echo();
    node = await EngineNode.start();
    node.engine.setEpoch(1);
    client = await node.addPod('client', clientId);
    server = await node.addPod('server', serverId);
  });

  afterEach(() => {
    node.close();
    application.close();
  });

  function tunnel(port = application.port): TunnelDecision {
    const decision = tunnelTo(server.hbone, port);
    assert.ok(decision.kind === 'tunnel');
    return decision;
  }

  /** Answers outbound questions with a route that may be used again. */
  function remember(ticket: number, choices: readonly { weight: number; decision: TunnelDecision }[]): void {
    node.onOutbound = (event) => {
      const [first] = choices;
      assert.ok(first !== undefined);
      node.engine.decideOutbound(event.id, first.decision, { ticket, epoch: 1, choices });
      return undefined;
    };
  }

  /** Sends a line, returns what comes back. */
  async function exchange(text: string): Promise<string> {
    const socket = await dial(client.outbound);
    socket.end(text);
    return (await readAll(socket)).toString();
  }

  async function outboundOf(count: number): Promise<readonly OutboundEvent[]> {
    await node.closed(count * 2);
    return node.of('outbound');
  }

  it('is given to the next connection without a question, and ids of their own', async () => {
    remember(7, [{ weight: 1, decision: tunnel() }]);

    for (const text of ['first', 'second', 'third']) assert.equal(await exchange(text), text);

    const events = await outboundOf(3);
    assert.deepEqual(
      events.map(({ reused }) => reused),
      [undefined, { ticket: 7, choice: 0 }, { ticket: 7, choice: 0 }],
    );
    const traces = new Set(events.map(({ trace }) => trace));
    assert.equal(traces.size, 3);
    for (const trace of traces) assert.match(trace, /^[0-9a-f]{32}-[0-9a-f]{16}$/);
    assert.equal(node.engine.stats().counters['decisions_reused'], 2);
    assert.equal(node.engine.stats().rememberedChoices, 1);
  });

  it('fills in client and trace where the headers have places for them', async () => {
    const headers = [
      ['forwarded', 'for="{client}";host=cart'],
      ['traceparent', '00-{trace}-00'],
    ] as const;
    remember(1, [{ weight: 1, decision: { ...tunnel(), headers } }]);

    await exchange('first');
    await exchange('second');

    const events = await outboundOf(2);
    assert.deepEqual(
      node.of('connect').map((event) => event.headers),
      events.map(({ client: { ip, port }, trace }) => [
        ['forwarded', `for="${ip}:${port}";host=cart`],
        ['traceparent', `00-${trace}-00`],
      ]),
    );
  });

  it('is asked for again in the next epoch', async () => {
    remember(7, [{ weight: 1, decision: tunnel() }]);
    await exchange('first');

    node.engine.setEpoch(2);
    await exchange('second');

    assert.deepEqual(
      (await outboundOf(2)).map(({ reused }) => reused),
      [undefined, undefined],
    );
    assert.equal(node.engine.stats().rememberedChoices, 0);
  });

  it('draws among its choices by weight', async () => {
    const [a, b] = ['/a', '/b'].map((value) => ({ ...tunnel(), headers: [['x-choice', value]] as const }));
    assert.ok(a !== undefined && b !== undefined);
    remember(3, [
      { weight: 1, decision: a },
      { weight: 3, decision: b },
    ]);

    for (let i = 0; i < 81; i += 1) await exchange('x');

    const reused = (await outboundOf(81)).slice(1).map((event) => event.reused?.choice);
    const chosen = reused.filter((choice) => choice === 1).length;
    // 60 expected of 80; the chance to fall outside is below one in a million.
    assert.ok(chosen > 38 && chosen < 79, `${chosen} of 80`);
    const values = node.of('connect').map(({ headers }) => headers[0]?.[1]);
    assert.deepEqual(
      values.slice(1),
      reused.map((choice) => (choice === 0 ? '/a' : '/b')),
    );
  });

  it('is repeated for requests of the same tunnel with the same authority only', async () => {
    const other = await Application.echo();
    node.onConnect = (event: ConnectEvent) => {
      const port = Number(event.authority.split(':').at(-1));
      const to = { ip: server.hbone.ip, port };
      const { authority } = event;
      node.engine.decideInbound(
        event.id,
        { kind: 'deliver', to, headers: [] },
        { ticket: 5, epoch: 1, authority },
      );
      return undefined;
    };
    const ports = [application.port, application.port, other.port, other.port];
    let next = 0;
    node.onOutbound = () => tunnel(ports[next++]);

    for (const text of ['a', 'b', 'c', 'd']) assert.equal(await exchange(text), text);
    node.engine.setEpoch(2);
    next = 0;
    assert.equal(await exchange('e'), 'e');

    await node.closed(10);
    assert.deepEqual(
      node.of('connect').map(({ reused }) => reused?.ticket),
      [undefined, 5, undefined, 5, undefined],
    );
    other.close();
  });

  it('is worth nothing to another pod', async () => {
    remember(7, [{ weight: 1, decision: tunnel() }]);
    const second = await node.addPod('second', clientId);
    await exchange('first');

    const socket = await dial(second.outbound);
    socket.end('other');
    await readAll(socket);

    assert.deepEqual(
      (await outboundOf(2)).map(({ podId, reused }) => [podId, reused]),
      [
        ['client', undefined],
        ['second', undefined],
      ],
    );
  });

  it('goes with its pod', async () => {
    remember(7, [{ weight: 1, decision: tunnel() }]);
    await exchange('first');
    await node.closed(2);

    node.engine.removePod('client', 0);
    client = await node.addPod('client', clientId);
    await exchange('second');

    assert.equal(node.of('outbound').at(-1)?.reused, undefined);
  });
});
