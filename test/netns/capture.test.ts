// Capture with real sockets in real namespaces, and a plain relay in ztunnel's place: what it carried says so by a
// prefix, `out:` or `in:`. Each pitfall of docs/ARCHITECTURE.md's redirect section has its test.
import { strict as assert } from 'node:assert';
import { CaptureAgent, settles } from '../support/capture-client.ts';
import {
  nodeIp,
  nodeIp6,
  peerIp,
  peerIp6,
  podIp,
  podIp6,
  requireRoot,
  run,
  Topology,
} from '../support/netns.ts';

describe('a captured pod', function () {
  this.timeout(60_000);
  let net: Topology;
  let agent: CaptureAgent;
  let peerPort: number;
  let podPort: number;

  before(async function () {
    requireRoot(this);
    net = Topology.create();
    peerPort = await net.serve(net.peer);
    podPort = await net.serve(net.pod);
    agent = CaptureAgent.start(net);
    await agent.attach();
  });

  after(async () => {
    await agent?.detach();
    await net?.destroy();
  });

  describe('dialling out', () => {
    it('is carried over IPv4', async () => {
      assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    });

    it('is carried over IPv6', async () => {
      assert.equal(await net.ask(net.pod, peerIp6, peerPort), `out:ping from ${podIp6}`);
    });

    it('is carried from an IPv4-mapped socket', async () => {
      assert.equal(await net.ask(net.pod, peerIp, peerPort, '--mapped'), `out:ping from ${podIp}`);
    });

    it('does not reach the listener when it talks to its own address', async () => {
      assert.equal(await net.ask(net.pod, podIp, podPort), `ping from ${podIp}`);
      assert.equal(await net.ask(net.pod, podIp6, podPort), `ping from ${podIp6}`);
    });

    it('keeps connections to ::1 and 127.0.0.1 inside, with those source addresses', async () => {
      assert.equal(await net.ask(net.pod, '::1', podPort), 'ping from ::1');
      assert.equal(await net.ask(net.pod, '127.0.0.1', podPort), 'ping from 127.0.0.1');
      assert.equal(await net.ask(net.pod, '127.0.0.9', podPort), 'ping from 127.0.0.1');
    });

    it('sees the true refusal of its own closed port', async () => {
      assert.equal(await net.ask(net.pod, podIp, 1), 'ECONNREFUSED');
    });

    it('is dropped by the guard when bound to the device', async () => {
      const before = await agent.counters();

      const answer = await net.ask(net.pod, nodeIp, peerPort, '--device', 'eth0', '--timeout', '0.5');

      assert.equal(answer, 'TIMEOUT');
      assert.ok(((await agent.counters())['guard_dropped'] ?? 0) > (before['guard_dropped'] ?? 0));
    });

    for (const [extensions, counter] of [
      [0, 'guard_dropped'],
      [3, 'guard_dropped'],
      [9, 'guard_unparsed_dropped'],
    ] as const) {
      it(`is dropped by the guard behind ${extensions} IPv6 extension headers`, async () => {
        const before = (await agent.counters())[counter] ?? 0;

        assert.equal(await net.sendRaw(net.pod, podIp6, nodeIp6, extensions), 'sent');

        await settles(async () => assert.ok(((await agent.counters())[counter] ?? 0) > before));
      });
    }

    it('is refused over IPv6 when bound to the device', async () => {
      assert.equal(await net.ask(net.pod, peerIp6, peerPort, '--device', 'eth0', '--timeout', '2'), 'EACCES');
    });

    it('is refused to a link-local address', async () => {
      const port = await net.serve(net.router);

      assert.equal(await net.ask(net.pod, 'fe80::1%eth0', port, '--timeout', '2'), 'EACCES');
    });

    it('leaves UDP alone', async () => {
      const port = await net.serveUdp(net.peer, peerIp);
      const port6 = await net.serveUdp(net.peer, peerIp6);

      assert.equal(await net.askUdp(net.pod, peerIp, port), `ping from ${podIp}`);
      assert.equal(await net.askUdp(net.pod, peerIp6, port6), `ping from ${podIp6}`);
    });

    it('leaves UDP to it alone', async () => {
      const port = await net.serveUdp(net.pod, podIp);

      assert.equal(await net.askUdp(net.peer, podIp, port), `ping from ${peerIp}`);
    });
  });

  describe('being dialled', () => {
    it('is reached through the plaintext listener and sees the true client', async () => {
      assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
      assert.equal(await net.ask(net.peer, podIp6, podPort), `in:ping from ${peerIp6}`);
    });

    it('hands port 15008 to the HBONE listener', async () => {
      assert.equal(await net.ask(net.peer, podIp, 15008), 'hbone');
      assert.equal(await net.ask(net.peer, podIp6, 15008), 'hbone');
    });

    it('keeps ports 15001 and 15006 for the application', async () => {
      const port = await net.serve(net.pod, 15001);

      assert.equal(await net.ask(net.peer, podIp, port), `in:ping from ${peerIp}`);
      assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    });

    it('captures even where an application owns port 15008', async () => {
      await net.serve(net.pod, 15008);

      assert.equal(await net.ask(net.peer, podIp, 15008), 'hbone');
      assert.equal(await net.ask(net.pod, podIp, 15008), `ping from ${podIp}`);
    });
  });

  it('knows an address that is added later, and forgets one that is removed', async () => {
    net.ip(net.pod, 'addr add 10.77.1.77/24 dev eth0');
    net.ip(net.pod, 'addr add fd77:1::77/64 dev eth0 nodad');
    await settles(async () => {
      assert.match(await net.ask(net.pod, '10.77.1.77', podPort, '--timeout', '0.3'), /^ping from/);
    });
    assert.match(await net.ask(net.pod, 'fd77:1::77', podPort), /^ping from/);
    const before = await agent.counters();

    net.ip(net.pod, 'addr del 10.77.1.77/24 dev eth0');
    net.ip(net.pod, 'addr del fd77:1::77/64 dev eth0');

    await settles(async () => {
      await net.ask(net.pod, '10.77.1.77', podPort, '--timeout', '0.3');
      assert.ok(((await agent.counters())['outbound_captured'] ?? 0) > (before['outbound_captured'] ?? 0));
    });
    assert.deepEqual(await agent.audit(), []);
  });

  it('guards an interface that is added later', async () => {
    net.ip(net.pod, 'link add eth1 type veth peer name eth1peer');
    net.ip(net.pod, 'link set eth1 up');
    await settles(async () => assert.deepEqual(await agent.audit(), []));

    net.ip(net.pod, 'link del eth1');
    await settles(async () => assert.deepEqual(await agent.audit(), []));
  });

  it('reports in an audit what somebody took away, and attach mends it', async () => {
    net.ip(net.pod, 'rule del pref 60');
    net.ip(net.pod, 'route del local default dev lo table 133');
    const whats = (await agent.audit()).map((fault) => fault.what);
    assert.deepEqual(whats.sort(), ['route missing', 'rule missing']);

    await agent.attach();

    assert.deepEqual(await agent.audit(), []);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
  });

  it('reports settings of an interface that somebody changed, and attach mends them', async () => {
    run('ip', 'netns', 'exec', net.pod, 'sysctl', '-qw', 'net.ipv4.conf.eth0.accept_local=0');
    assert.deepEqual(
      (await agent.audit()).map((fault) => fault.what),
      ['interface settings'],
    );

    await agent.attach();

    assert.deepEqual(await agent.audit(), []);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
  });

  it('reports no fault of its own', async () => {
    assert.deepEqual(await agent.call('faults'), []);
  });
});
