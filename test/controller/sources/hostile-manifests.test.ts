// Manifests with pieces missing, doubled and put in the wrong place: every other object stays in force.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { parseManifest } from '../../../src/controller/objects/parse.ts';
import { keyOf, objectKey } from '../../../src/controller/objects/object-set.ts';
import { formatProblem } from '../../../src/controller/problem.ts';
import { replaceContent } from '../../../src/controller/sources/directory/held-file.ts';
import { mergeFiles } from '../../../src/controller/sources/directory/merge.ts';
import { parseYamlFile } from '../../../src/controller/sources/directory/yaml-file.ts';
import { translate } from '../../../src/controller/translate/translate.ts';
import { parseIdentity, formatIdentity } from '../../../src/mesh/identity.ts';
import { brokenText, check, growth, propertyTimeoutMs } from '../../support/properties.ts';
import { manifest } from '../arbitrary-objects.ts';
import { linesOf, objectsOf, settings, translated } from '../manifests.ts';

const good = fc
  .array(manifest, { minLength: 1, maxLength: 4 })
  .map((documents) => documents.map((document) => `---\n${stringify(document)}`).join(''));

describe('a manifest file as it might be written', () => {
  it('is read or refused, each problem with its file, and what is read can be translated', () => {
    check(
      fc.property(fc.oneof(good, brokenText(good)), (text) => {
        const content = parseYamlFile('test.yaml', text);
        assert.ok(
          content.problems.every(({ place, message }) => place?.file === 'test.yaml' && message !== ''),
        );
        assert.ok(content.intact || content.problems.length > 0);
        const { objects, problems } = mergeFiles([['test.yaml', content]], new Map());
        const { workloads, problems: found } = translate(objects, settings);
        for (const line of [...problems, ...found].map(formatProblem)) assert.notEqual(line, '');
        for (const { trustDomain, namespace, serviceAccount } of workloads.values()) {
          const identity = { trustDomain, namespace, serviceAccount };
          assert.deepEqual({ ...parseIdentity(formatIdentity(identity)) }, identity);
        }
      }),
      400,
    );
  }).timeout(propertyTimeoutMs());

  it('does not end what was in force before it was broken', () => {
    check(
      fc.property(good, brokenText(good), (before, after) => {
        const held = replaceContent('f', undefined, before, parseYamlFile('f', before));
        const next = parseYamlFile('f', after);
        const { content } = replaceContent('f', held, after, next);
        if (!next.intact) assert.deepEqual(content, held.content);
        const inForce = new Set(content.objects);
        for (const { kind, ...broken } of next.intact ? next.broken : [])
          // What cannot be understood denies if it is a policy; anything else keeps its last good version.
          if (kind !== 'AuthorizationPolicy' && kind !== 'PeerAuthentication')
            for (const object of held.content.objects)
              if (object.kind === kind && keyOf(object) === objectKey(broken)) assert.ok(inForce.has(object));
      }),
      300,
    );
  }).timeout(propertyTimeoutMs());
});

describe('a manifest that was found to be misread', () => {
  const policy = (spec: string): string =>
    `apiVersion: security.culvert.dev/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec: ${spec}\n`;

  it('denies in its namespace if its selector has a label that JavaScript would drop', () => {
    const { policies, problems } = translated(
      policy('{ selector: { matchLabels: { __proto__: x } }, action: ALLOW }'),
    );

    assert.deepEqual(
      [...policies.values()].map(({ action, scope }) => [action, scope]),
      [['deny', 'namespace']],
    );
    assert.match(
      linesOf(objectsOf(policy('{ __proto__: {} }')).broken[0]?.problems ?? [])[0] ?? '',
      /^4:9: .* spec\.__proto__: there is no such field/,
    );
    assert.deepEqual(problems, []);
  });

  it('is refused for one port with two modes', () => {
    const content = parseYamlFile(
      'test.yaml',
      'portLevelMtls:\n  80: { mode: STRICT }\n  "80": { mode: DISABLE }\n',
    );

    assert.equal(content.intact, false);
    assert.match(linesOf(content.problems)[0] ?? '', /^3:3: error: "80" is given twice/);
  });

  it('names a service account that can be one', () => {
    const pod = (account: string): string =>
      `apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { serviceAccountName: "${account}" }\n`;

    for (const account of ['a/../b', 'a b', 'x\\n', 'a?b'])
      assert.match(
        linesOf(parseYamlFile('test.yaml', pod(account)).problems)[0] ?? '',
        /spec\.serviceAccountName: must consist of/,
      );
    assert.deepEqual(parseYamlFile('test.yaml', pod('cart')).problems, []);
  });

  it('takes its time in proportion to the mistakes in it', () => {
    const labels = (n: number): string =>
      `apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n${Array.from({ length: n }, (_, i) => `    k${i}: 1\n`).join('')}`;

    // Each place was looked up, for mistakes that nobody was told of: seventy seconds for 40,000.
    assert.ok(growth(1_000, labels, (text) => parseYamlFile('f', text)) < 24);
  }).timeout(60_000);

  it('with a mistake in every object is told of a thousand', () => {
    const { problems } = parseYamlFile(
      'f',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n---\n'.repeat(1_200),
    );

    assert.equal(problems.length, 1_001);
    assert.match(problems.at(-1)?.message ?? '', /^200 more problems/);
  }).timeout(60_000);

  it('of any depth, in a circle, and of any size is a mistake of its own object', () => {
    const circle: Record<string, unknown> = {};
    circle['a'] = circle;
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i += 1) deep = [deep];
    for (const [spec, message] of [
      [circle, /nested deeper/],
      [deep, /nested deeper/],
      [Array.from({ length: 600_000 }, () => 1), /more than 500000 values/],
    ] as const) {
      const parsed = parseManifest({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec });
      assert.equal(parsed.kind, 'broken');
      assert.match(parsed.broken.problems[0]?.message ?? '', message);
    }
  });
});
