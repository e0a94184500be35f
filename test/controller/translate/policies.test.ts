import assert from 'node:assert/strict';
import { authorize } from '../../../src/authz/authorize.ts';
import type { PolicyConnection } from '../../../src/authz/connection.ts';
import { parseCidr } from '../../../src/mesh/address.ts';
import { ip } from '../../../src/mesh/address.ts';
import type { Policy, PolicyRule } from '../../../src/mesh/policy.ts';
import { linesOf, podYaml, policyYaml, translated } from '../manifests.ts';

function policyOf(spec: string, more: { namespace?: string; annotations?: string } = {}): Policy {
  const translation = translated(policyYaml('p', spec, more));
  const policy = translation.policies.get(`${more.namespace ?? 'shop'}/p`);
  assert.ok(policy, `no policy; ${linesOf(translation.problems).join('\n')}`);
  return policy;
}

const denyAll: readonly PolicyRule[] = [{ clauses: [] }];

describe('an AuthorizationPolicy becomes a mesh policy', () => {
  const cidr = (text: string) => [parseCidr(text)];
  const cases: readonly (readonly [what: string, rule: string, clauses: unknown])[] = [
    [
      'principals, with their wildcards',
      '{ from: [{ source: { principals: [a/b, "*", "a/*", "*/sa/x"], notPrincipals: [c] } }] }',
      [
        {
          matches: [
            {
              principals: [
                { kind: 'exact', value: 'a/b' },
                { kind: 'presence' },
                { kind: 'prefix', value: 'a/' },
                { kind: 'suffix', value: '/sa/x' },
              ],
              notPrincipals: [{ kind: 'exact', value: 'c' }],
            },
          ],
        },
      ],
    ],
    [
      'namespaces',
      '{ from: [{ source: { namespaces: [a], notNamespaces: ["b*"] } }] }',
      [
        {
          matches: [
            { namespaces: [{ kind: 'exact', value: 'a' }], notNamespaces: [{ kind: 'prefix', value: 'b' }] },
          ],
        },
      ],
    ],
    [
      'service accounts, of the own namespace where none is named',
      '{ from: [{ source: { serviceAccounts: [a, other/b], notServiceAccounts: [c] } }] }',
      [
        {
          matches: [
            {
              serviceAccounts: [
                { namespace: 'shop', serviceAccount: 'a' },
                { namespace: 'other', serviceAccount: 'b' },
              ],
              notServiceAccounts: [{ namespace: 'shop', serviceAccount: 'c' }],
            },
          ],
        },
      ],
    ],
    [
      'address blocks and ports, as two clauses that both must hold',
      '{ from: [{ source: { ipBlocks: [10.0.0.1/8], notIpBlocks: ["fd00::/8"] } }], to: [{ operation: { ports: ["80"], notPorts: ["81"] } }] }',
      [
        { matches: [{ sourceIps: cidr('10.0.0.0/8'), notSourceIps: cidr('fd00::/8') }] },
        { matches: [{ destinationPorts: [80], notDestinationPorts: [81] }] },
      ],
    ],
    [
      'alternatives of one clause',
      '{ to: [{ operation: { ports: ["1"] } }, { operation: { ports: ["2"] } }] }',
      [{ matches: [{ destinationPorts: [1] }, { destinationPorts: [2] }] }],
    ],
    [
      'each condition that a node can see',
      `{ when: [
        { key: source.ip, values: [10.0.0.1] }, { key: source.namespace, notValues: [a] },
        { key: source.principal, values: [b] }, { key: destination.ip, values: [10.0.0.2] },
        { key: destination.port, values: ["80"], notValues: ["81"] }] }`,
      [
        { matches: [{ sourceIps: cidr('10.0.0.1') }] },
        { matches: [{ notNamespaces: [{ kind: 'exact', value: 'a' }] }] },
        { matches: [{ principals: [{ kind: 'exact', value: 'b' }] }] },
        { matches: [{ destinationIps: cidr('10.0.0.2') }] },
        { matches: [{ destinationPorts: [80], notDestinationPorts: [81] }] },
      ],
    ],
    ['a rule that asks for nothing', '{}', []],
  ];

  for (const [what, rule, clauses] of cases) {
    it(`with ${what}`, () => {
      const policy = policyOf(`{ action: DENY, rules: [${rule.replaceAll('\n', ' ')}] }`);

      assert.equal(policy.action, 'deny');
      assert.deepEqual(policy.rules, [{ clauses }]);
    });
  }

  it('allows nothing without rules', () => {
    const policy = policyOf('{}');

    assert.deepEqual([policy.action, policy.rules], ['allow', []]);
  });

  const scopes: readonly (readonly [namespace: string, spec: string, scope: Policy['scope']])[] = [
    ['shop', '{}', 'namespace'],
    ['shop', '{ selector: {} }', 'namespace'],
    ['shop', '{ selector: { matchLabels: { app: cart } } }', 'workload'],
    ['root', '{}', 'global'],
    ['root', '{ selector: { matchLabels: { app: cart } } }', 'workload'],
  ];
  for (const [namespace, spec, scope] of scopes) {
    it(`of namespace ${namespace} with spec ${spec} holds for scope ${scope}`, () => {
      assert.equal(policyOf(spec, { namespace }).scope, scope);
    });
  }

  it('is named by the workloads that it selects, of its namespace or, from the root namespace, of all', () => {
    const { workloads } = translated(
      podYaml('a', '10.0.0.1', { labels: 'app: cart, tier: x' }) +
        podYaml('b', '10.0.0.2', { labels: 'app: cart', namespace: 'other' }) +
        podYaml('c', '10.0.0.3', { labels: 'tier: x' }) +
        policyYaml('own', '{ selector: { matchLabels: { app: cart } } }') +
        policyYaml('both', '{ selector: { matchLabels: { app: cart, tier: x } } }') +
        policyYaml('all', '{ selector: { matchLabels: { app: cart } } }', { namespace: 'root' }) +
        policyYaml('wide', '{}'),
    );

    assert.deepEqual(workloads.get('test//Pod/shop/a')?.policies, ['root/all', 'shop/both', 'shop/own']);
    assert.deepEqual(workloads.get('test//Pod/other/b')?.policies, ['root/all']);
    assert.deepEqual(workloads.get('test//Pod/shop/c')?.policies, []);
  });

  for (const name of ['culvert.dev/dry-run', 'istio.io/dry-run']) {
    it(`is only tried with ${name}`, () => {
      assert.equal(policyOf('{}', { annotations: `${name}: "true"` }).dryRun, true);
      assert.equal(policyOf('{}', { annotations: `${name}: "false"` }).dryRun, false);
    });
  }

  it('is enforced if its dry-run annotation is neither true nor false', () => {
    const translation = translated(policyYaml('p', '{}', { annotations: 'culvert.dev/dry-run: "yes"' }));

    assert.equal(translation.policies.get('shop/p')?.dryRun, false);
    assert.match(
      linesOf(translation.problems).join('\n'),
      /annotations\["culvert\.dev\/dry-run"\]: "yes" is neither/,
    );
  });

  it('keeps policies of two API groups with one name apart', () => {
    const culvert = policyYaml('p', '{ action: DENY, rules: [{ to: [{ operation: { ports: ["1"] } }] }] }');

    const { policies } = translated(culvert + culvert.replace('security.culvert.dev', 'security.istio.io'));

    assert.deepEqual([...policies.keys()].sort(), ['shop/p', 'shop/p_security.istio.io']);
  });
});

describe('what a node cannot look at', () => {
  it('takes an ALLOW rule with HTTP out of force, and only that rule', () => {
    const translation = translated(
      policyYaml(
        'p',
        '{ rules: [{ to: [{ operation: { methods: [GET] } }] }, { to: [{ operation: { ports: ["1"] } }] }] }',
      ),
    );

    assert.deepEqual(translation.policies.get('shop/p')?.rules, [
      { clauses: [{ matches: [{ destinationPorts: [1] }] }] },
    ]);
    assert.match(
      linesOf(translation.problems).join('\n'),
      /warning: AuthorizationPolicy shop\/p: spec\.rules\[0\]\.to\[0\]\.operation\.methods: only a waypoint/,
    );
  });

  const denies: readonly (readonly [what: string, rule: string, clauses: unknown])[] = [
    [
      'beside a port',
      '{ to: [{ operation: { methods: [GET], ports: ["1"] } }] }',
      [{ matches: [{ destinationPorts: [1] }] }],
    ],
    ['alone', '{ to: [{ operation: { methods: [GET] } }] }', []],
    [
      'as one of two alternatives',
      '{ to: [{ operation: { paths: [/x] } }, { operation: { ports: ["1"] } }] }',
      [],
    ],
    [
      'as a condition',
      '{ from: [{ source: { namespaces: [a] } }], when: [{ key: "request.headers[x]", values: [y] }] }',
      [{ matches: [{ namespaces: [{ kind: 'exact', value: 'a' }] }] }],
    ],
  ];
  for (const [what, rule, clauses] of denies) {
    it(`widens a DENY rule with HTTP ${what}`, () => {
      assert.deepEqual(policyOf(`{ action: DENY, rules: [${rule}] }`).rules, [{ clauses }]);
    });
  }

  it('reports AUDIT and policies for waypoints, and sends neither', () => {
    const translation = translated(
      policyYaml('audit', '{ action: AUDIT, rules: [{}] }') +
        policyYaml(
          'waypoint',
          '{ targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: w }] }',
        ),
    );

    assert.equal(translation.policies.size, 0);
    assert.deepEqual(
      translation.problems.map(({ severity, object }) => [severity, object?.name]),
      [
        ['warning', 'audit'],
        ['warning', 'waypoint'],
      ],
    );
  });
});

describe('a policy that cannot be understood', () => {
  const wrong: readonly (readonly [what: string, spec: string])[] = [
    ['an external authorizer', '{ action: CUSTOM, provider: { name: x }, rules: [{}] }'],
    ['a port that is none', '{ rules: [{ to: [{ operation: { ports: ["http"] } }] }] }'],
    ['a block that is none', '{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/33] } }] }] }'],
    [
      'a principal with a scheme',
      '{ action: DENY, rules: [{ from: [{ source: { principals: ["spiffe://x"] } }] }] }',
    ],
    [
      'a wildcard in the middle',
      '{ action: DENY, rules: [{ from: [{ source: { namespaces: ["a*b"] } }] }] }',
    ],
    ['a condition that nobody knows', '{ rules: [{ when: [{ key: source.moon, values: [full] }] }] }'],
    ['a misspelt field', '{ rulez: [] }'],
    ['a value that is not in its list', '{ action: MAYBE }'],
  ];
  for (const [what, spec] of wrong) {
    it(`denies in its namespace: ${what}`, () => {
      const policy = policyOf(spec);

      assert.deepEqual(
        [policy.action, policy.scope, policy.rules, policy.dryRun],
        ['deny', 'namespace', denyAll, false],
      );
    });
  }

  it('denies whoever connects, in the evaluator that nodes use', () => {
    const connection: PolicyConnection = {
      sourceIp: ip('10.0.0.1'),
      sourceIdentity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'x' },
      destination: { ip: ip('10.0.0.2'), port: 80 },
    };

    assert.equal(authorize([policyOf('{ action: MAYBE }')], connection).allow, false);
  });

  it('denies only what it selects, if that can be read', () => {
    const translation = translated(
      podYaml('a', '10.0.0.1', { labels: 'app: cart' }) +
        podYaml('b', '10.0.0.2') +
        policyYaml('p', '{ selector: { matchLabels: { app: cart } }, action: MAYBE }'),
    );

    assert.equal(translation.policies.get('shop/p')?.scope, 'workload');
    assert.deepEqual(translation.workloads.get('test//Pod/shop/a')?.policies, ['shop/p']);
    assert.deepEqual(translation.workloads.get('test//Pod/shop/b')?.policies, []);
  });

  it('denies in the whole namespace if its selector is what cannot be read', () => {
    const policy = policyOf('{ selector: { matchExpressions: [] } }');

    assert.deepEqual([policy.scope, policy.rules], ['namespace', denyAll]);
  });

  it('denies everywhere if it is of the root namespace', () => {
    assert.equal(policyOf('{ action: MAYBE }', { namespace: 'root' }).scope, 'global');
  });

  it('denies nobody at nodes if it is for waypoints', () => {
    const translation = translated(
      policyYaml('p', '{ targetRefs: [{ kind: Gateway, name: w }], rules: [{ form: [] }] }'),
    );

    assert.equal(translation.policies.size, 0);
  });

  it('denies under a name that no other object can have if its name is what is wrong', () => {
    const { policies } = translated(policyYaml('../other/p', '{}'));

    assert.deepEqual([...policies.keys()], ['shop/..%2Fother%2Fp']);
  });

  it('stays a trial if it was one', () => {
    assert.equal(policyOf('{ action: MAYBE }', { annotations: 'culvert.dev/dry-run: "true"' }).dryRun, true);
  });
});
