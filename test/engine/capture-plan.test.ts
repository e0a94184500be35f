import { strict as assert } from 'node:assert';
import { ip, parseCidr } from '../../src/mesh/address.ts';
import { noExclusions } from '../../src/mesh/pod-settings.ts';
import {
  AF_INET,
  AF_INET6,
  type NativeAddress,
  type NativeInterface,
} from '../../src/engine/capture-native.ts';
import {
  capturedRoutes,
  divertingRules,
  exceptionRules,
  familiesOf,
  type NamespaceFacts,
  passEntries,
  planFault,
  podAddress,
  type PodPlanInput,
  preparingRules,
  releasedRules,
  routeKey,
  ruleKey,
} from '../../src/engine/capture-plan.ts';

const marks = { ztunnel: 0x539, released: 0x53a, kept: 0x53b };
const plain: PodPlanInput = { probePorts: [], nodeAddresses: [], exclusions: noExclusions };

function link(change: Partial<NativeInterface>): NativeInterface {
  return {
    index: 2,
    name: 'eth0',
    loopback: false,
    rpFilter: 0,
    acceptLocal: 0,
    ipv6Disabled: false,
    ...change,
  };
}

function address(change: Partial<NativeAddress>): NativeAddress {
  const bytes = Uint8Array.of(10, 0, 0, 5);
  return { family: AF_INET, interface: 2, bytes, scope: 0, preferred: true, ...change };
}

function facts(change: Partial<NamespaceFacts> = {}): NamespaceFacts {
  const interfaces = [link({ index: 1, name: 'lo', loopback: true }), link({})];
  return { interfaces, addresses: [address({})], firstEphemeralPort: 32768, ...change };
}

function block(text: string) {
  const parsed = parseCidr(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

describe('the plan of a captured namespace', () => {
  it('diverts TCP after everything that must not be diverted', () => {
    const rules = [...preparingRules(AF_INET, marks), ...divertingRules(AF_INET)];

    assert.deepEqual(
      rules.map(ruleKey).sort(),
      [
        '2 100 1 255 0 0 0 - 0-0 0-0',
        '2 40 2 0 100 1337 0 - 0-0 0-0',
        '2 41 2 0 100 1339 0 - 0-0 0-0',
        '2 50 1 133 0 0 6 - 0-0 0-0',
        '2 60 8 0 0 0 6 - 0-0 0-0',
      ].sort(),
    );
  });

  it('has no exception for a pod without exclusions and probes', () => {
    assert.deepEqual(exceptionRules(AF_INET, plain, facts()), []);
    assert.deepEqual(passEntries(plain, { inbound: 0, outbound: 1 }), []);
  });

  it('opens each probe port to each node address of the family, for answers only', () => {
    const pod = { ...plain, probePorts: [80, 81], nodeAddresses: [ip('10.0.0.1'), ip('fd00::1')] };

    assert.deepEqual(exceptionRules(AF_INET, pod, facts()).map(ruleKey), [
      '2 43 2 0 100 0 6 0a000001/32 80-80 0-0',
      '2 43 2 0 100 0 6 0a000001/32 81-81 0-0',
    ]);
    assert.equal(exceptionRules(AF_INET6, pod, facts()).length, 2);
    assert.equal(passEntries(pod, { inbound: 0, outbound: 1 }).length, 4);
  });

  it('looks at what the pod serves before what it dials, so that clients of an excluded block stay captured', () => {
    const exclusions = { ...noExclusions, outboundPorts: [25], outboundCidrs: [block('10.9.0.0/16')] };

    assert.deepEqual(exceptionRules(AF_INET, { ...plain, exclusions }, facts()).map(ruleKey), [
      '2 44 1 133 0 0 6 - 1-32767 0-0',
      '2 45 2 0 100 0 6 - 0-0 25-25',
      '2 45 2 0 100 0 6 0a090000/16 0-0 0-0',
    ]);
  });

  it('has a pass entry for each exclusion, in its direction', () => {
    const exclusions = {
      inboundPorts: [1],
      outboundPorts: [2],
      inboundCidrs: [block('10.1.0.0/16')],
      outboundCidrs: [block('fd00::/8')],
    };

    const entries = passEntries({ ...plain, exclusions }, { inbound: 0, outbound: 1 });

    assert.deepEqual(
      entries.map(({ direction, port, length }) => ({ direction, port, length })),
      [
        { direction: 0, port: 1, length: undefined },
        { direction: 1, port: 2, length: undefined },
        { direction: 0, port: undefined, length: 16 },
        { direction: 1, port: undefined, length: 8 },
      ],
    );
  });

  it('routes only marked sockets over lo after release', () => {
    assert.deepEqual(releasedRules(AF_INET, marks).map(ruleKey), ['2 50 1 133 0 1338 0 - 0-0 0-0']);
  });

  it('names the pod address as source, and loopback for loopback', () => {
    assert.deepEqual(capturedRoutes(AF_INET, facts()).map(routeKey), [
      '2 133 2 default dev 1 src 0a000005',
      '2 133 2 7f000000/8 dev 1 src 7f000001',
    ]);
    assert.deepEqual(capturedRoutes(AF_INET6, facts()).map(routeKey), [
      '10 133 2 default dev 1 src -',
      `10 133 2 ${'0'.repeat(31)}1/128 dev 1 src ${'0'.repeat(31)}1`,
    ]);
  });

  it('takes no secondary, link-local or loopback address for the pod address', () => {
    const bytes = Uint8Array.of(10, 0, 0, 9);
    const addresses = [
      address({ interface: 1 }),
      address({ scope: 253 }),
      address({ preferred: false }),
      address({ bytes }),
    ];

    assert.deepEqual(podAddress(AF_INET, facts({ addresses })), bytes);
    assert.equal(podAddress(AF_INET6, facts({ addresses })), undefined);
  });

  it('covers IPv6 unless lo has it disabled', () => {
    assert.deepEqual(familiesOf(facts()), [AF_INET, AF_INET6]);
    const interfaces = [link({ index: 1, name: 'lo', loopback: true, ipv6Disabled: true }), link({})];
    assert.deepEqual(familiesOf(facts({ interfaces })), [AF_INET]);
  });

  for (const port of [0, -1, 65536, 1.5, NaN]) {
    it(`refuses port ${port}, which a rule could not say`, () => {
      const exclusions = { ...noExclusions, inboundPorts: [port] };
      assert.equal(planFault({ ...plain, exclusions }), `not a port: ${port}`);
      assert.equal(planFault({ ...plain, probePorts: [port] }), `not a port: ${port}`);
    });
  }

  it('accepts the whole Internet as an excluded block', () => {
    const exclusions = { ...noExclusions, outboundCidrs: [block('0.0.0.0/0'), block('::/0')] };
    assert.equal(planFault({ ...plain, exclusions }), undefined);
  });
});
