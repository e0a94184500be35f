import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PolicyConnection } from '../../src/authz/connection.ts';
import { authorize, explain } from '../../src/authz/authorize.ts';
import { ip, parseCidr } from '../../src/mesh/address.ts';
import type { Policy, PolicyMatch, StringMatch } from '../../src/mesh/policy.ts';
import { policy } from '../support/mesh-objects.ts';

const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'frontend' };
const plaintext: PolicyConnection = {
  sourceIp: ip('10.0.1.7'),
  destination: { ip: ip('10.0.2.9'), port: 8080 },
};
const mutualTls: PolicyConnection = { ...plaintext, sourceIdentity: identity };

const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const block = (text: string) => parseCidr(text) ?? assert.fail(text);
const one = (match: PolicyMatch) => [{ clauses: [{ matches: [match] }] }];
const deny = (match: PolicyMatch) => policy({ name: 'deny', action: 'deny', rules: one(match) });
const allow = (match: PolicyMatch) => policy({ name: 'allow', rules: one(match) });

describe('a policy match', () => {
  const table: [string, PolicyMatch, PolicyConnection, boolean][] = [
    ['nothing said', {}, mutualTls, false],
    ['nothing said in empty lists', { principals: [], notPrincipals: [] }, mutualTls, false],
    ['its namespace', { namespaces: [exact('shop')] }, mutualTls, true],
    ['another namespace', { namespaces: [exact('sho')] }, mutualTls, false],
    ['one value of several', { namespaces: [exact('x'), exact('shop')] }, mutualTls, true],
    ['not its namespace', { notNamespaces: [exact('shop')] }, mutualTls, false],
    ['not another namespace', { notNamespaces: [exact('x')] }, mutualTls, true],
    ['principal', { principals: [exact('cluster.local/ns/shop/sa/frontend')] }, mutualTls, true],
    [
      'principal with its scheme',
      { principals: [exact('spiffe://cluster.local/ns/shop/sa/frontend')] },
      mutualTls,
      true,
    ],
    [
      'principal prefix',
      { principals: [{ kind: 'prefix', value: 'cluster.local/ns/shop/' }] },
      mutualTls,
      true,
    ],
    ['principal suffix', { principals: [{ kind: 'suffix', value: '/sa/frontend' }] }, mutualTls, true],
    [
      'principal suffix of another',
      { principals: [{ kind: 'suffix', value: '/sa/cart' }] },
      mutualTls,
      false,
    ],
    ['any principal', { principals: [{ kind: 'presence' }] }, mutualTls, true],
    ['any principal, plaintext', { principals: [{ kind: 'presence' }] }, plaintext, false],
    ['no principal, plaintext', { notPrincipals: [{ kind: 'presence' }] }, plaintext, true],
    ['no principal, mTLS', { notPrincipals: [{ kind: 'presence' }] }, mutualTls, false],
    ['prefix of nothing, plaintext', { principals: [{ kind: 'prefix', value: '' }] }, plaintext, false],
    [
      'service account',
      { serviceAccounts: [{ namespace: 'shop', serviceAccount: 'frontend' }] },
      mutualTls,
      true,
    ],
    [
      'equal account of another namespace',
      { serviceAccounts: [{ namespace: 'x', serviceAccount: 'frontend' }] },
      mutualTls,
      false,
    ],
    ['account, plaintext', { serviceAccounts: [{ namespace: '', serviceAccount: '' }] }, plaintext, false],
    [
      'not an account, plaintext',
      { notServiceAccounts: [{ namespace: 'shop', serviceAccount: 'frontend' }] },
      plaintext,
      true,
    ],
    ['source block', { sourceIps: [block('10.0.1.0/24')] }, plaintext, true],
    ['source block that ends within a byte', { sourceIps: [block('10.0.0.0/23')] }, plaintext, true],
    ['source block next door', { sourceIps: [block('10.0.2.0/23')] }, plaintext, false],
    ['source block of the other family', { sourceIps: [block('::/0')] }, plaintext, false],
    ['not in a source block', { notSourceIps: [block('10.0.1.7')] }, plaintext, false],
    ['destination block', { destinationIps: [block('10.0.2.9/32')] }, plaintext, true],
    ['not in a destination block', { notDestinationIps: [block('10.0.2.9/32')] }, plaintext, false],
    ['port', { destinationPorts: [80, 8080] }, plaintext, true],
    ['other port', { destinationPorts: [80] }, plaintext, false],
    ['not a port', { notDestinationPorts: [8080] }, plaintext, false],
    ['all of its fields', { namespaces: [exact('shop')], destinationPorts: [8080] }, mutualTls, true],
    ['one field of two', { namespaces: [exact('shop')], destinationPorts: [80] }, mutualTls, false],
    [
      'a field and its negation',
      { namespaces: [{ kind: 'presence' }], notNamespaces: [exact('shop')] },
      mutualTls,
      false,
    ],
  ];
  for (const [name, match, connection, matches] of table)
    it(`${matches ? 'matches' : 'does not match'}: ${name}`, () => {
      assert.equal(authorize([deny(match)], connection).allow, !matches);
      assert.equal(authorize([allow(match)], connection).allow, matches);
    });
});

describe('a policy', () => {
  const yes: PolicyMatch = { destinationPorts: [8080] };
  const no: PolicyMatch = { destinationPorts: [1] };
  const rules = (clauses: PolicyMatch[][]): Policy =>
    policy({ name: 'p', rules: [{ clauses: clauses.map((matches) => ({ matches })) }] });

  it('without rules never matches', () => {
    assert.equal(authorize([policy({ name: 'p', rules: [] })], mutualTls).allow, false);
    assert.equal(authorize([policy({ name: 'p', action: 'deny', rules: [] })], mutualTls).allow, true);
  });

  it('matches by an empty clause', () => {
    assert.equal(authorize([rules([[]])], mutualTls).allow, true);
  });

  it('needs one match of each clause', () => {
    assert.equal(authorize([rules([[no, yes], [yes]])], mutualTls).allow, true);
    assert.equal(authorize([rules([[no, yes], [no]])], mutualTls).allow, false);
  });

  it('needs one rule of several', () => {
    const two = policy({ name: 'p', rules: [...one(no), ...one(yes)] });

    assert.equal(authorize([two], mutualTls).allow, true);
  });
});

describe('authorization', () => {
  const always: PolicyMatch = { notDestinationPorts: [1] };
  const never: PolicyMatch = { destinationPorts: [1] };

  it('allows where no policy applies', () => {
    assert.deepEqual(authorize([], plaintext), { allow: true, reason: 'no_allow_policy_exists', dryRun: [] });
  });

  it('allows what a DENY does not match if there is no ALLOW', () => {
    assert.equal(authorize([deny(never)], plaintext).reason, 'no_allow_policy_exists');
  });

  it('denies by DENY even if an ALLOW matches, and names the DENY', () => {
    assert.deepEqual(authorize([allow(always), deny(always)], plaintext), {
      allow: false,
      policy: 'shop/deny',
      reason: 'deny_policy_matched',
      dryRun: [],
    });
  });

  it('denies what no ALLOW matches', () => {
    assert.equal(authorize([allow(never)], plaintext).reason, 'no_allow_policy_matched');
  });

  it('only reports a dry-run DENY', () => {
    const dry = { ...deny(always), dryRun: true };

    assert.deepEqual(authorize([dry], plaintext), {
      allow: true,
      reason: 'no_allow_policy_exists',
      dryRun: ['shop/deny'],
    });
  });

  it('only reports a dry-run ALLOW that would have left the connection out', () => {
    const dry = { ...allow(never), dryRun: true };

    assert.deepEqual(authorize([dry], plaintext).dryRun, ['shop/allow']);
    assert.equal(authorize([dry], plaintext).allow, true);
    assert.deepEqual(authorize([dry, { ...allow(always), name: 'real' }], plaintext).dryRun, []);
  });

  it('explains which field kept a policy from matching', () => {
    const { decision, policies } = explain(
      [allow({ namespaces: [exact('shop')], destinationPorts: [1] })],
      mutualTls,
    );

    assert.equal(decision.allow, false);
    assert.deepEqual(policies[0]?.observations, [
      { rule: 0, clause: 0, match: 0, field: 'namespaces', holds: true },
      { rule: 0, clause: 0, match: 0, field: 'destinationPorts', holds: false },
    ]);
  });

  const matches = fc.record(
    {
      namespaces: fc.array(fc.constantFrom(exact('shop'), exact('x')), { maxLength: 2 }),
      notPrincipals: fc.array(fc.constant<StringMatch>({ kind: 'presence' }), { maxLength: 1 }),
      destinationPorts: fc.array(fc.constantFrom(80, 8080), { maxLength: 2 }),
      sourceIps: fc.array(fc.constantFrom(block('10.0.1.0/24'), block('10.0.9.0/24')), { maxLength: 2 }),
    },
    { requiredKeys: [] },
  );
  const policies = fc.array(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      namespace: fc.constant('shop'),
      scope: fc.constant('namespace' as const),
      action: fc.constantFrom('allow' as const, 'deny' as const),
      dryRun: fc.boolean(),
      rules: fc.array(
        fc.record({
          clauses: fc.array(fc.record({ matches: fc.array(matches, { maxLength: 2 }) }), { maxLength: 2 }),
        }),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 4 },
  );
  const connections = fc.constantFrom(plaintext, mutualTls);

  it('explains by the decision it takes', () => {
    fc.assert(
      fc.property(policies, connections, (some, connection) => {
        assert.deepEqual(explain(some, connection).decision, authorize(some, connection));
      }),
    );
  });

  it('never allows more because a DENY was added', () => {
    fc.assert(
      fc.property(policies, matches, connections, (some, match, connection) => {
        if (!authorize(some, connection).allow)
          assert.equal(authorize([...some, deny(match)], connection).allow, false);
      }),
    );
  });

  it('decides the same in any order of policies', () => {
    fc.assert(
      fc.property(policies, connections, (some, connection) => {
        assert.equal(authorize([...some].reverse(), connection).allow, authorize(some, connection).allow);
      }),
    );
  });

  it('does not depend on dry-run policies', () => {
    fc.assert(
      fc.property(policies, connections, (some, connection) => {
        const enforced = some.filter((each) => !each.dryRun);
        assert.equal(authorize(some, connection).allow, authorize(enforced, connection).allow);
      }),
    );
  });
});
