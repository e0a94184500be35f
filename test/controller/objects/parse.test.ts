import assert from 'node:assert/strict';
import { parseYamlFile } from '../../../src/controller/sources/directory/yaml-file.ts';
import { linesOf, policyYaml } from '../manifests.ts';

function problemsOf(yaml: string): readonly string[] {
  return linesOf(parseYamlFile('test.yaml', yaml).problems);
}

describe('reading manifests', () => {
  const cases: readonly (readonly [what: string, yaml: string, problem: RegExp])[] = [
    [
      'a misspelt field of a policy',
      policyYaml('a', '{ rules: [{ from: [{ source: { principles: [x], namespaces: [y] } }] }] }'),
      /^6:38: error: AuthorizationPolicy shop\/a: spec\.rules\[0\]\.from\[0\]\.source\.principles: there is no such field$/,
    ],
    [
      'an unknown action',
      policyYaml('a', '{ action: ALOW }'),
      /^6:9: error: AuthorizationPolicy shop\/a: spec\.action: "ALOW" is not one of ALLOW, DENY, AUDIT, CUSTOM$/,
    ],
    [
      'a port that is a number where text is asked for',
      policyYaml('a', '{ rules: [{ to: [{ operation: { ports: [80] } }] }] }'),
      /spec\.rules\[0\]\.to\[0\]\.operation\.ports\[0\]: must be text: write "80" in quotes$/,
    ],
    [
      'a source that names nothing',
      policyYaml('a', '{ rules: [{ from: [{ source: {} }] }] }'),
      /must name at least one attribute of the source$/,
    ],
    [
      'selector and targetRefs together',
      policyYaml('a', '{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Gateway, name: w }] }'),
      /selector and targetRefs exclude each other$/,
    ],
    [
      'a condition without values',
      policyYaml('a', '{ rules: [{ when: [{ key: source.ip }] }] }'),
      /must have values or notValues$/,
    ],
    [
      'a boolean in a status condition',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: {}\nstatus:\n  conditions:\n    - { type: Ready, status: true }\n',
      /^7:22: error: Pod default\/a: status\.conditions\[0\]\.status: true is not one of True, False, Unknown$/,
    ],
    [
      'a label that is not text',
      'apiVersion: v1\nkind: Namespace\nmetadata: { name: a, labels: { version: 1 } }\n',
      /^3:32: error: Namespace a: metadata\.labels\.version: must be text: write "1" in quotes$/,
    ],
    [
      'a policy version that nobody knows',
      'apiVersion: security.istio.io/v9\nkind: PeerAuthentication\nmetadata: { name: a }\n',
      /apiVersion: version v9 of PeerAuthentication is not known; v1 and v1beta1 are$/,
    ],
    [
      'per-port modes without a selector',
      'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: a }\nspec: { portLevelMtls: { 80: { mode: STRICT } } }\n',
      /spec\.portLevelMtls: needs a selector/,
    ],
    [
      'a name that could pass for another object',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: ../other }\n',
      /^3:13: error: Pod default\/\.\.\/other: metadata\.name: must consist of/,
    ],
    ['a document that is not an object', 'just text\n', /error: must be object, not "just text"$/],
    ['broken YAML', 'a: [1,\nb: 2\n', /^2:1: error: /],
    [
      'a kind of a later version',
      'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r, namespace: shop }\n',
      /^2:1: warning: HTTPRoute shop\/r: kind: HTTPRoute of gateway\.networking\.k8s\.io is not handled/,
    ],
  ];

  for (const [what, yaml, problem] of cases) {
    it(`names the place of ${what}`, () => {
      const lines = problemsOf(yaml);

      assert.ok(
        lines.some((line) => problem.test(line)),
        `none of ${JSON.stringify(lines)} is like ${problem}`,
      );
    });
  }

  it('passes over fields of core kinds that it does not know, and over kinds that mean nothing to a mesh', () => {
    const lines = problemsOf(
      'apiVersion: v1\nkind: Service\nmetadata: { name: a, finalizers: [x] }\nspec: { healthCheckNodePort: 7 }\n' +
        '---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\n---\n# nothing\n',
    );

    assert.deepEqual(lines, []);
  });

  it('takes a List apart and still knows the lines', () => {
    const yaml =
      'apiVersion: v1\nkind: List\nitems:\n' +
      '  - { apiVersion: v1, kind: Namespace, metadata: { name: a } }\n' +
      '  - { apiVersion: v1, kind: Service, metadata: { name: a }, spec: { type: Nothing } }\n';

    const content = parseYamlFile('test.yaml', yaml);

    assert.deepEqual(
      content.objects.map(({ kind }) => kind),
      ['Namespace'],
    );
    assert.match(linesOf(content.problems)[0] ?? '', /^5:69: error: Service default\/a: spec\.type/);
  });

  it('treats a field that is null as absent', () => {
    const content = parseYamlFile(
      'test.yaml',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: a, labels: }\nspec: {}\nstatus:\n',
    );

    assert.deepEqual(linesOf(content.problems), []);
    assert.equal(content.objects.length, 1);
  });

  it('refuses aliases that would unfold without end', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let i = 0; i < 8; i += 1)
      bomb.push(`b${i}: &b${i} [${`*${i === 0 ? 'a' : `b${i - 1}`}, `.repeat(9)}]`);

    const content = parseYamlFile('test.yaml', bomb.join('\n'));

    assert.equal(content.intact, false);
  });

  it('survives nesting that is deeper than the stack', () => {
    const content = parseYamlFile('test.yaml', '['.repeat(200_000));

    assert.equal(content.intact, false);
  });
});
