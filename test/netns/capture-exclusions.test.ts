// Ports and addresses that capture leaves alone, each in one direction only, and probes from the node.
import { strict as assert } from 'node:assert';
import { ip, parseCidr, type Cidr } from '../../src/mesh/address.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import { CaptureAgent } from '../support/capture-client.ts';
import { nodeIp, nodeIp6, peerIp, peerIp6, podIp, podIp6, requireRoot, Topology } from '../support/netns.ts';

describe('exceptions from capture', function () {
  this.timeout(60_000);
  let net: Topology;
  let agent: CaptureAgent;
  let peerPort: number;
  let podPort: number;
  const peers = [block('10.77.2.0/24'), block('fd77:2::/64')];

  before(async function () {
    requireRoot(this);
    net = Topology.create();
    // Servers below the ephemeral ports, as servers are.
    peerPort = await net.serve(net.peer, 7001);
    podPort = await net.serve(net.pod, 7002);
    agent = CaptureAgent.start(net);
    await agent.attach();
  });

  after(async () => {
    await agent?.detach();
    await net?.destroy();
  });

  afterEach(async () => {
    assert.deepEqual(await agent.audit(), []);
    await agent.update({});
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
  });

  it('lets dials to an excluded outbound port go direct, and nothing else', async () => {
    const other = await net.serve(net.peer);
    await agent.update({ exclusions: { ...noExclusions, outboundPorts: [peerPort] } });

    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
    assert.equal(await net.ask(net.pod, peerIp6, peerPort), `ping from ${podIp6}`);
    assert.equal(await net.ask(net.pod, peerIp, other), `out:ping from ${podIp}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
  });

  it('still finds its own server on a port that is excluded outbound', async () => {
    await agent.update({ exclusions: { ...noExclusions, outboundPorts: [podPort] } });

    assert.equal(await net.ask(net.pod, podIp, podPort), `ping from ${podIp}`);
  });

  it('lets clients of an excluded inbound port in directly, and nothing else', async () => {
    const other = await net.serve(net.pod);
    await agent.update({ exclusions: { ...noExclusions, inboundPorts: [podPort] } });

    assert.equal(await net.ask(net.peer, podIp, podPort), `ping from ${peerIp}`);
    assert.equal(await net.ask(net.peer, podIp6, podPort), `ping from ${peerIp6}`);
    assert.equal(await net.ask(net.peer, podIp, other), `in:ping from ${peerIp}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
  });

  it('does not let a dial use the source port of an excluded inbound port', async () => {
    await agent.update({ exclusions: { ...noExclusions, inboundPorts: [7003] } });
    const options = ['--source-port', '7003', '--timeout', '0.5'];

    assert.equal(await net.ask(net.pod, peerIp, peerPort, ...options), 'TIMEOUT');
    assert.ok(((await agent.counters())['guard_dropped'] ?? 0) > 0);
  });

  it('lets dials to an excluded outbound block go direct, while clients from there stay captured', async () => {
    await agent.update({ exclusions: { ...noExclusions, outboundCidrs: peers } });

    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
    assert.equal(await net.ask(net.pod, peerIp6, peerPort), `ping from ${podIp6}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
    assert.equal(await net.ask(net.peer, podIp6, podPort), `in:ping from ${peerIp6}`);
  });

  it('lets clients from an excluded inbound block in directly, while dials to there stay captured', async () => {
    await agent.update({ exclusions: { ...noExclusions, inboundCidrs: peers } });

    assert.equal(await net.ask(net.peer, podIp, podPort), `ping from ${peerIp}`);
    assert.equal(await net.ask(net.peer, podIp6, podPort), `ping from ${peerIp6}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `out:ping from ${podIp}`);
    assert.equal(await net.ask(net.pod, peerIp6, peerPort), `out:ping from ${podIp6}`);
  });

  it('lets both directions of a block go direct where both are excluded', async () => {
    await agent.update({ exclusions: { ...noExclusions, inboundCidrs: peers, outboundCidrs: peers } });

    assert.equal(await net.ask(net.peer, podIp, podPort), `ping from ${peerIp}`);
    assert.equal(await net.ask(net.pod, peerIp, peerPort), `ping from ${podIp}`);
  });

  it('answers probes by the application itself, from node addresses only', async () => {
    const probed = { probePorts: [podPort, 7009], nodeAddresses: [ip(nodeIp), ip(nodeIp6)] };
    await agent.update(probed);

    assert.equal(await net.ask(net.router, podIp, podPort), `ping from ${nodeIp}`);
    assert.equal(await net.ask(net.router, podIp6, podPort), `ping from ${nodeIp6}`);
    assert.equal(await net.ask(net.peer, podIp, podPort), `in:ping from ${peerIp}`);
    const other = await net.serve(net.pod);
    assert.equal(await net.ask(net.router, podIp, other), `in:ping from ${nodeIp}`);
  });

  it('fails a tcpSocket probe of a dead port', async () => {
    await agent.update({ probePorts: [7009], nodeAddresses: [ip(nodeIp)] });

    assert.equal(await net.ask(net.router, podIp, 7009, '--timeout', '2'), 'ECONNREFUSED');
  });
});

function block(text: string): Cidr {
  const parsed = parseCidr(text);
  assert.ok(parsed !== undefined);
  return parsed;
}
