import assert from 'node:assert/strict';
import fc from 'fast-check';
import { authorize } from '../../src/authz/authorize.ts';
import type { PolicyConnection } from '../../src/authz/connection.ts';
import { cidr, ip, parseCidr } from '../../src/mesh/address.ts';
import type { Policy, PolicyMatch, StringMatch } from '../../src/mesh/policy.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import { policy, workload } from '../support/mesh-objects.ts';
import { authorizePlainly } from './plain-evaluator.ts';

/** Few letters, so that prefixes, suffixes and equal values meet. */
const word = fc.stringMatching(/^[ab]{0,4}$/);
const name = fc.stringMatching(/^[ab]{1,3}$/);
const ipv4 = fc.tuple(fc.nat(1), fc.nat(3)).map(([c, d]) => ip(`10.0.${c}.${d}`));
const ipv6 = fc.nat(3).map((last) => ip(`fd00::${last}`));
const anyIp = fc.oneof(ipv4, ipv6);
const block = fc
  .tuple(anyIp, fc.constantFrom(0, 8, 23, 24, 31, 32, 64, 127, 128))
  .map(([address, length]) => cidr(address, Math.min(length, address.includes(':') ? 128 : 32)));
const port = fc.constantFrom(80, 8080, 9090);
const text = (value: fc.Arbitrary<string>): fc.Arbitrary<StringMatch> =>
  fc.oneof(
    fc.record({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value }),
    fc.constant<StringMatch>({ kind: 'presence' }),
  );
const principal = fc.oneof(
  word,
  fc
    .tuple(fc.constantFrom('', 'spiffe://'), name, name)
    .map(([scheme, ns, sa]) => `${scheme}t/ns/${ns}/sa/${sa}`),
  fc.tuple(fc.constantFrom('', 'spiffe://'), word).map(([scheme, ns]) => `${scheme}t/ns/${ns}`),
);
const account = fc.record({ namespace: word, serviceAccount: word });

/** Sometimes more values than are compared one by one, or than a policy is found by. */
const some = <V>(value: fc.Arbitrary<V>): fc.Arbitrary<V[]> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.array(value, { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.array(value, { minLength: 5, maxLength: 40 }) },
  );
const match: fc.Arbitrary<PolicyMatch> = fc.record(
  {
    namespaces: some(text(word)),
    notNamespaces: some(text(word)),
    principals: some(text(principal)),
    notPrincipals: some(text(principal)),
    serviceAccounts: some(account),
    notServiceAccounts: some(account),
    sourceIps: some(block),
    notSourceIps: some(block),
    destinationIps: some(block),
    notDestinationIps: some(block),
    destinationPorts: some(port),
    notDestinationPorts: some(port),
  },
  { requiredKeys: [] },
);
const rule = fc.record({
  clauses: fc.array(fc.record({ matches: fc.array(match, { maxLength: 2 }) }), { maxLength: 2 }),
});
const anyPolicy: fc.Arbitrary<Policy> = fc.record({
  name: fc.stringMatching(/^[a-z]{6}$/),
  namespace: fc.constantFrom('shop', 'other'),
  scope: fc.constantFrom('global' as const, 'namespace' as const, 'workload' as const),
  action: fc.constantFrom('allow' as const, 'deny' as const),
  dryRun: fc.boolean(),
  rules: fc.array(rule, { maxLength: 2 }),
});
const connection: fc.Arbitrary<PolicyConnection> = fc
  .record({
    sourceIp: anyIp,
    sourceIdentity: fc.option(
      fc.record({ trustDomain: fc.constant('t'), namespace: name, serviceAccount: name }),
      { nil: undefined },
    ),
    destination: fc.record({ ip: anyIp, port }),
  })
  .map(({ sourceIdentity, ...rest }) => ({ ...rest, ...(sourceIdentity && { sourceIdentity }) }));

describe('the indexes of policies', () => {
  it('decide as evaluating every value of every policy does', () => {
    fc.assert(
      fc.property(fc.array(anyPolicy, { maxLength: 12 }), fc.array(connection), (policies, connections) => {
        for (const each of connections)
          assert.deepEqual(authorize(policies, each), authorizePlainly(policies, each));
      }),
      { numRuns: 200 },
    );
  });

  it('decide the same by the lists that a snapshot keeps', () => {
    fc.assert(
      fc.property(fc.array(anyPolicy, { maxLength: 12 }), connection, (policies, each) => {
        const selected = workload({
          name: 'w',
          policies: policies
            .filter(({ scope }) => scope === 'workload')
            .map((one) => `${one.namespace}/${one.name}`),
        });
        const snapshot = MeshSnapshot.empty().with({ policies });
        const list = snapshot.policiesFor(selected);

        assert.deepEqual(authorize(list, each), authorizePlainly(list, each));
      }),
    );
  });

  const byClient = (n: number): Policy[] =>
    Array.from({ length: n }, (_, i) =>
      policy({
        name: `client-${i}`,
        rules: [{ clauses: [{ matches: [{ principals: [{ kind: 'exact', value: `t/ns/a/sa/${i}` }] }] }] }],
      }),
    );
  const byPrefix = (n: number): Policy[] =>
    Array.from({ length: n }, (_, i) =>
      policy({
        name: `team-${i}`,
        rules: [{ clauses: [{ matches: [{ principals: [{ kind: 'prefix', value: `t/ns/team-${i}/` }] }] }] }],
      }),
    );
  const byBlock = (n: number): Policy[] =>
    Array.from({ length: n }, (_, i) =>
      policy({
        name: `block-${i}`,
        action: 'deny',
        rules: [
          {
            clauses: [
              { matches: [{ sourceIps: [parseCidr(`10.${i >> 8}.${i & 255}.0/24`) ?? assert.fail()] }] },
            ],
          },
        ],
      }),
    );

  for (const [kind, made] of [
    ['by exact principals', byClient],
    ['by prefixes of principals', byPrefix],
    ['by address blocks', byBlock],
  ] as const)
    it(`look at no more policies where thousands tell clients apart ${kind}`, () => {
      const client: PolicyConnection = {
        sourceIp: ip('10.0.7.1'),
        sourceIdentity: { trustDomain: 't', namespace: 'a', serviceAccount: '7' },
        destination: { ip: ip('10.1.0.1'), port: 80 },
      };
      const looked = (policies: readonly Policy[]): string[] => {
        const names: string[] = [];
        authorize(policies, client, ({ name: each }) => names.push(each));
        return names;
      };

      assert.deepEqual(looked(made(5_000)), looked(made(10)));
      assert.ok(looked(made(10)).length <= 1);
    });
});
