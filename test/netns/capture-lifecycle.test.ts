// What capture leaves behind, what it takes over, and what lives on: processes and pods come and go.
import { strict as assert } from 'node:assert';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ip } from '../../src/mesh/address.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { CaptureAgent, settles } from '../support/capture-client.ts';
import { peerIp, peerIp6, podIp, requireRoot, run, Topology } from '../support/netns.ts';

describe('capture over time', function () {
  this.timeout(60_000);
  let net: Topology;
  let bpffs: string;
  let peerPort: number;
  let podPort: number;

  before(function () {
    requireRoot(this);
    // A directory that is no bpffs yet: capture mounts it.
    bpffs = mkdtempSync(join(tmpdir(), 'culvert-bpffs-'));
  });

  after(() => {
    if (bpffs === undefined) return;
    run('umount', bpffs);
    rmSync(bpffs, { recursive: true });
  });

  beforeEach(async () => {
    net = Topology.create();
    peerPort = await net.serve(net.peer);
    podPort = await net.serve(net.pod);
  });

  afterEach(async () => {
    await net.destroy();
    for (const name of readdirSync(join(bpffs, 'culvert')))
      rmSync(join(bpffs, 'culvert', name), { recursive: true });
  });

  const start = (options: Parameters<typeof CaptureAgent.start>[1] = {}): CaptureAgent =>
    CaptureAgent.start(net, { bpffs, ...options });
  const pins = (): string[] => readdirSync(join(bpffs, 'culvert'));

  for (const guardHook of ['tcx', 'clsact'] as const) {
    it(`leaves nothing behind after detach (${guardHook})`, async () => {
      const before = net.snapshot(net.pod);
      const agent = start({ guardHook });

      await agent.attach();
      assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
      assert.deepEqual(await agent.audit(), []);
      assert.notEqual(net.snapshot(net.pod), before);
      await agent.detach();

      assert.equal(net.snapshot(net.pod), before);
      assert.deepEqual(pins(), []);
      assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
      assert.equal(await net.ask(net.peer, podIp, podPort), `ping from ${peerIp}`);
    });
  }

  it('guards with a clsact filter where tcx is unknown', async () => {
    const agent = start({ guardHook: 'clsact' });
    await agent.attach();
    const port = await net.serve(net.router);

    assert.equal(
      await net.ask(net.pod, '10.77.1.1', port, '--device', 'eth0', '--timeout', '0.5'),
      'TIMEOUT',
    );
    assert.ok(((await agent.counters())['guard_dropped'] ?? 0) > 0);
  });

  it('keeps settings, qdiscs and rules that were not its own', async () => {
    net.ip(net.pod, 'rule add pref 77 from 10.99.0.0/16 lookup 99');
    run('ip', 'netns', 'exec', net.pod, 'sysctl', '-qw', 'net.ipv4.conf.eth0.rp_filter=1');
    run('ip', 'netns', 'exec', net.pod, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact');
    const before = net.snapshot(net.pod);
    const agent = start({ guardHook: 'clsact' });

    await agent.attach();
    await agent.detach();

    assert.equal(net.snapshot(net.pod), before);
  });

  it('may be attached and detached twice', async () => {
    const before = net.snapshot(net.pod);
    const agent = start();

    await agent.attach();
    const once = net.snapshot(net.pod);
    await agent.attach();
    assert.equal(net.snapshot(net.pod), once);
    await agent.detach();
    await agent.detach();

    assert.equal(net.snapshot(net.pod), before);
  });

  it('undoes everything when a late step fails', async () => {
    // An ingress qdisc where clsact wants to be: a filter on egress has no place.
    run('ip', 'netns', 'exec', net.pod, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'ingress');
    const before = net.snapshot(net.pod);
    const old = await net.hold(net.pod, peerIp, peerPort);
    const agent = start({ guardHook: 'clsact' });

    await assert.rejects(agent.attach(), { code: 'ERR_CULVERT_CAPTURE_FAILED', message: /egress guard/ });

    assert.equal(net.snapshot(net.pod), before);
    assert.deepEqual(pins(), []);
    assert.equal(await old.ask('still'), `still from ${podIp}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
  });

  it('keeps what it adopted when a step fails, so that the pod stays closed', async () => {
    const first = start();
    await first.attach();
    await first.end();
    const captured = net.snapshot(net.pod);
    const second = start();

    await assert.rejects(second.attach({ listeners: { outbound: 999, plaintext: 999, hbone: 999 } }), {
      code: 'ERR_CULVERT_CAPTURE_FAILED',
      message: /EBADF/,
    });

    assert.equal(net.snapshot(net.pod), captured);
    assert.deepEqual(pins(), [net.pod]);
    assert.doesNotMatch(await net.ask(net.pod, peerIp, peerPort, '--timeout', '0.5'), /ping/);
  });

  it('refuses settings that no rule could say', async () => {
    const agent = start();
    for (const exclusions of [
      { ...noExclusions, inboundPorts: [0] },
      { ...noExclusions, outboundPorts: [65536] },
      { ...noExclusions, outboundCidrs: [{ address: ip('10.0.0.0'), length: 33 }] },
    ]) {
      await assert.rejects(agent.attach({ exclusions }), { code: 'ERR_CULVERT_ENGINE_ARGUMENT' });
    }
    assert.deepEqual(pins(), []);
  });

  it('leaves connections that are older than capture alone, and counts them', async () => {
    const outward = await net.hold(net.pod, peerIp, peerPort);
    const inward = await net.hold(net.peer, podIp, podPort);
    assert.equal(await outward.ask('before'), `before from ${podIp}`);
    const agent = start();

    const { keptConnections } = await agent.attach();

    assert.equal(keptConnections, 2);
    assert.equal(await outward.ask('after'), `after from ${podIp}`);
    assert.equal(await inward.ask('after'), `after from ${peerIp}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    await outward.stop();
    await settles(async () => assert.equal(await agent.keptConnections(), 1));
    // A second attach must not take captured connections for old ones.
    const captured = await net.hold(net.pod, peerIp, peerPort);
    assert.equal((await agent.attach()).keptConnections, 1);
    assert.equal(await captured.ask('still'), `out:still from ${podIp}`);
  });

  it('closes connections that are older than capture on request, at both ends, and no others', async () => {
    const outward = await net.hold(net.pod, peerIp, peerPort);
    const outward6 = await net.hold(net.pod, peerIp6, peerPort);
    const mapped = await net.hold(net.pod, peerIp, peerPort, '--mapped');
    const inward = await net.hold(net.peer, podIp, podPort);
    const own = await net.hold(net.pod, '127.0.0.1', podPort);
    assert.equal(await own.ask('before'), 'before from 127.0.0.1');
    const agent = start();
    assert.equal((await agent.attach()).keptConnections, 4);
    const captured = await net.hold(net.pod, peerIp, peerPort);
    assert.equal(await captured.ask('before'), `out:before from ${podIp}`);
    const entered = await net.hold(net.peer, podIp, podPort);
    assert.equal(await entered.ask('before'), `in:before from ${peerIp}`);

    assert.equal(await agent.closeKept(), 4);

    for (const [old, ending] of [
      [outward, /^(ECONNABORTED|EPIPE)$/],
      [outward6, /^(ECONNABORTED|EPIPE)$/],
      [mapped, /^(ECONNABORTED|EPIPE)$/],
      [inward, /^(ECONNRESET|EPIPE)$/],
    ] as const)
      assert.match(await old.ask('after'), ending);
    await settles(() => {
      const open = run('ip', 'netns', 'exec', net.peer, 'ss', '-Htn', 'state', 'established');
      // The far ends of the three that were dialled out, and the near end of the one that came in.
      assert.equal(open.trim().split('\n').length, 2, open);
    });
    assert.equal(await captured.ask('after'), `after from ${podIp}`);
    assert.equal(await entered.ask('after'), `after from ${peerIp}`);
    assert.equal(await own.ask('after'), 'after from 127.0.0.1');
    assert.equal(await agent.keptConnections(), 0);
    assert.equal(await agent.closeKept(), 0);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
  });

  it('does not count connections of the pod with itself as older than capture', async () => {
    const own = await net.hold(net.pod, '127.0.0.1', podPort);
    assert.equal(await own.ask('before'), 'before from 127.0.0.1');
    const agent = start();

    assert.equal((await agent.attach()).keptConnections, 0);

    assert.equal(await own.ask('after'), 'after from 127.0.0.1');
  });

  it('lets captured connections end by themselves after release, and new ones go direct', async () => {
    const before = net.snapshot(net.pod);
    const agent = start();
    await agent.attach();
    const outward = await net.hold(net.pod, peerIp, peerPort);
    const inward = await net.hold(net.peer, podIp, podPort);
    assert.equal(await outward.ask('one'), `out:one from ${podIp}`);
    assert.equal(await inward.ask('one'), `in:one from ${peerIp}`);

    await agent.release();

    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `ping from ${peerIp}`);
    assert.equal(await outward.ask('two'), `two from ${podIp}`);
    assert.equal(await inward.ask('two'), `two from ${peerIp}`);
    assert.deepEqual(await agent.audit(), []);
    await agent.detach();
    assert.equal(net.snapshot(net.pod), before);
  });

  it('captures again what was released', async () => {
    const agent = start();
    await agent.attach();
    await agent.release();
    await agent.attach();

    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
    assert.deepEqual(await agent.audit(), []);
  });

  it('sends nothing in plaintext while ztunnel is gone, and a second process adopts', async () => {
    const first = start();
    const { netnsCookie } = await first.attach();
    await first.end();
    const sniffer = net.start(net.peer, 'tcpdump', '-nlp', '-i', 'eth0', `tcp and src ${podIp}`);
    await settles(() => assert.match(sniffer.stderr, /listening on/));

    assert.notEqual(await net.ask(net.pod, peerIp, peerPort, '--timeout', '0.5'), `ping from ${podIp}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort, '--device', 'eth0', '--timeout', '0.5'), 'TIMEOUT');
    assert.doesNotMatch(await net.ask(net.peer, podIp, podPort, '--timeout', '0.5'), /ping/);
    const second = start();
    assert.deepEqual(await second.pinned(), [net.pod]);
    const adopted = await second.attach();

    assert.deepEqual(adopted, { adopted: true, keptConnections: 0, netnsCookie });
    const { outbound_no_listener, inbound_no_listener } = await second.counters();
    assert.ok((outbound_no_listener ?? 0) > 0 && (inbound_no_listener ?? 0) > 0);
    // Nothing before the adopter's own dial, which says when to stop looking.
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    const seen = await sniffer.line();
    assert.match(seen, /Flags \[S\]/);
    assert.deepEqual(await second.audit(), []);
    const before = second.counters();
    assert.ok(((await before)['outbound_captured'] ?? 0) > 0);
  });

  it('removes in a second process what the first attached', async () => {
    const before = net.snapshot(net.pod);
    const first = start({ guardHook: 'clsact' });
    await first.attach();
    await first.end();
    const second = start();

    await second.detach();

    assert.equal(net.snapshot(net.pod), before);
    assert.deepEqual(await second.pinned(), []);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
  });

  it('forgets a pod whose namespace was deleted while attached', async () => {
    const agent = start();
    await agent.attach();
    const other = start({ podId: 'other' });
    await other.pinned();

    run('ip', 'netns', 'del', net.pod);

    await agent.detach();
    assert.deepEqual(await other.pinned(), []);
  });

  it('removes the pins of a pod whose namespace is gone, and attaches afresh under the same id', async () => {
    const first = start({ podId: 'reborn' });
    await first.attach();
    await first.end();
    await net.destroy();
    assert.deepEqual(pins(), ['reborn']);
    net = Topology.create();
    peerPort = await net.serve(net.peer);
    const second = start({ podId: 'reborn' });

    assert.equal((await second.attach()).adopted, false);

    assert.deepEqual(pins(), ['reborn']);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    await second.detach();
    assert.deepEqual(pins(), []);
  });

  it('captures IPv4 alone where lo has IPv6 disabled, and closes IPv6 when it is enabled later', async () => {
    run('ip', 'netns', 'exec', net.pod, 'sysctl', '-qw', 'net.ipv6.conf.lo.disable_ipv6=1');
    const agent = start({ ipv6: false });
    await agent.attach();
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    assert.deepEqual(await agent.audit(), []);
    assert.equal(await net.ask(net.pod, peerIp6, peerPort, '--timeout', '0.5'), 'TIMEOUT');

    run('ip', 'netns', 'exec', net.pod, 'sysctl', '-qw', 'net.ipv6.conf.lo.disable_ipv6=0');

    // The listeners are of IPv4 alone: IPv6 is diverted to nobody until the pod is attached anew.
    // `ip` knows the name only where there is an /etc/protocols (netbase).
    await settles(() => assert.match(net.ip(net.pod, '-6 rule'), /ipproto (tcp|ipproto-6) lookup 133/));
    assert.doesNotMatch(await net.ask(net.pod, peerIp6, peerPort, '--timeout', '0.5'), /ping/);
    await agent.detach();
    assert.doesNotMatch(net.ip(net.pod, '-6 rule'), /133/);
  });
});
