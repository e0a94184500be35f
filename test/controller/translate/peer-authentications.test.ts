import assert from 'node:assert/strict';
import { authorize } from '../../../src/authz/authorize.ts';
import { ip } from '../../../src/mesh/address.ts';
import type { Translation } from '../../../src/controller/translate/settings.ts';
import { linesOf, peerAuthenticationYaml as peer, podYaml, translated } from '../manifests.ts';

const pod = podYaml('a', '10.0.0.1', { labels: 'app: cart' });
const selected = 'selector: { matchLabels: { app: cart } }';

/** Whether plaintext to `port` of pod a is let in, by the evaluator that nodes use. */
function plaintextPasses(translation: Translation, port: number): boolean {
  const workload = translation.workloads.get('test//Pod/shop/a');
  assert.ok(workload);
  const policies = workload.policies
    .map((key) => translation.policies.get(key))
    .filter((policy) => policy !== undefined);
  assert.equal(policies.length, workload.policies.length, 'a policy that is named is not sent');
  return authorize(policies, { sourceIp: ip('10.0.0.9'), destination: { ip: ip('10.0.0.1'), port } }).allow;
}

describe('a PeerAuthentication lets plaintext in or not', () => {
  const mesh = (mode: string): string => peer('mesh', 'root', `{ mtls: { mode: ${mode} } }`);
  const namespace = (mode: string): string => peer('ns', 'shop', `{ mtls: { mode: ${mode} } }`);
  const own = (mode: string, ports = '{}'): string =>
    peer('own', 'shop', `{ ${selected}, mtls: { mode: ${mode} }, portLevelMtls: ${ports} }`);

  const cases: readonly (readonly [what: string, yaml: string, on80: boolean, on81: boolean])[] = [
    ['nothing said', '', true, true],
    ['mesh STRICT', mesh('STRICT'), false, false],
    ['mesh PERMISSIVE', mesh('PERMISSIVE'), true, true],
    ['namespace STRICT', namespace('STRICT'), false, false],
    ['namespace UNSET under mesh STRICT', mesh('STRICT') + namespace('UNSET'), false, false],
    ['namespace PERMISSIVE under mesh STRICT', mesh('STRICT') + namespace('PERMISSIVE'), true, true],
    ['namespace DISABLE under mesh STRICT', mesh('STRICT') + namespace('DISABLE'), true, true],
    ['workload STRICT', own('STRICT'), false, false],
    ['workload PERMISSIVE under namespace STRICT', namespace('STRICT') + own('PERMISSIVE'), true, true],
    ['workload UNSET under namespace STRICT', namespace('STRICT') + own('UNSET'), false, false],
    ['workload STRICT but for port 80', own('STRICT', '{ 80: { mode: PERMISSIVE } }'), true, false],
    ['workload STRICT but for port 80, disabled', own('STRICT', '{ 80: { mode: DISABLE } }'), true, false],
    ['workload STRICT and port 80 STRICT', own('STRICT', '{ 80: { mode: STRICT } }'), false, false],
    ['workload PERMISSIVE, port 80 STRICT', own('PERMISSIVE', '{ 80: { mode: STRICT } }'), false, true],
    ['workload UNSET, port 80 STRICT', own('UNSET', '{ 80: { mode: STRICT } }'), false, true],
    [
      'workload UNSET, port 80 DISABLE, mesh STRICT',
      mesh('STRICT') + own('UNSET', '{ 80: { mode: DISABLE } }'),
      true,
      false,
    ],
    [
      'workload UNSET, port 80 STRICT, mesh STRICT',
      mesh('STRICT') + own('UNSET', '{ 80: { mode: STRICT } }'),
      false,
      false,
    ],
    ['port 80 UNSET under STRICT', own('STRICT', '{ 80: { mode: UNSET } }'), false, false],
    [
      'another workload STRICT',
      peer('x', 'shop', '{ selector: { matchLabels: { app: x } }, mtls: { mode: STRICT } }'),
      true,
      true,
    ],
    ['another namespace STRICT', peer('x', 'other', '{ mtls: { mode: STRICT } }'), true, true],
  ];
  for (const [what, yaml, on80, on81] of cases) {
    it(`${what}: port 80 ${on80 ? 'yes' : 'no'}, port 81 ${on81 ? 'yes' : 'no'}`, () => {
      const translation = translated(pod + yaml);

      assert.deepEqual([plaintextPasses(translation, 80), plaintextPasses(translation, 81)], [on80, on81]);
    });
  }

  it('lets an identity in wherever plaintext is refused', () => {
    const translation = translated(pod + own('STRICT', '{ 80: { mode: PERMISSIVE } }'));
    const policies = [...translation.policies.values()];

    const decision = authorize(policies, {
      sourceIp: ip('10.0.0.9'),
      sourceIdentity: { trustDomain: 'cluster.local', namespace: 'x', serviceAccount: 'y' },
      destination: { ip: ip('10.0.0.1'), port: 81 },
    });

    assert.equal(decision.allow, true);
  });

  it('is named as Istio names the same conversion', () => {
    const { policies, workloads } = translated(pod + own('STRICT', '{ 9090: { mode: PERMISSIVE } }'));

    assert.deepEqual(workloads.get('test//Pod/shop/a')?.policies, ['shop/converted_peer_authentication_own']);
    assert.deepEqual(policies.get('shop/converted_peer_authentication_own'), {
      name: 'converted_peer_authentication_own',
      namespace: 'shop',
      scope: 'workload',
      action: 'deny',
      rules: [
        {
          clauses: [
            { matches: [{ notPrincipals: [{ kind: 'presence' }] }] },
            { matches: [{ notDestinationPorts: [9090] }] },
          ],
        },
      ],
      dryRun: false,
    });
    assert.ok(policies.has('root/istio_converted_static_strict'));
  });

  it('counts as STRICT if it cannot be understood', () => {
    const translation = translated(pod + namespace('STRIKT'));

    assert.equal(plaintextPasses(translation, 80), false);
  });

  it('gives way to the older of two for the same workloads, and says so', () => {
    const aged = (name: string, year: number, mode: string): string =>
      peer(name, 'shop', `{ mtls: { mode: ${mode} } }`).replace(
        `name: ${name},`,
        `name: ${name}, creationTimestamp: '${year}-01-01T00:00:00Z',`,
      );

    const translation = translated(pod + aged('a', 2002, 'PERMISSIVE') + aged('b', 2001, 'STRICT'));

    assert.equal(plaintextPasses(translation, 80), false);
    assert.match(
      linesOf(translation.problems).join('\n'),
      /warning: PeerAuthentication shop\/a: b is about the same/,
    );
  });
});
