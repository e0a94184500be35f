import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import type { YamlLimits } from '../../src/runtime/yaml-text.ts';
import { readYaml, yamlLimits } from '../../src/runtime/yaml-text.ts';
import { anyText, brokenText, check, growth, propertyTimeoutMs } from '../support/properties.ts';

function valueOf(text: string): unknown {
  const { documents, faults } = readYaml(text);
  assert.deepEqual(faults, []);
  assert.equal(documents.length, 1);
  return documents[0]?.value;
}

function faultOf(text: string, limits: Partial<YamlLimits> = {}): string {
  const { documents, faults } = readYaml(text, { ...yamlLimits, ...limits });
  assert.deepEqual(documents, []);
  const { line, column, message } = faults[0] ?? { line: 0, column: 0, message: 'no fault' };
  return `${line}:${column}: ${message}`;
}

describe('a YAML text', () => {
  it('is the values that JSON has, with the places of its fields', () => {
    const text = 'a: &x [1, b]\nc:\n  d: *x\n---\n- null\n';

    const { documents } = readYaml(text);

    assert.deepEqual(
      documents.map(({ value }) => value),
      [{ a: [1, 'b'], c: { d: [1, 'b'] } }, [null]],
    );
    assert.deepEqual(documents[0]?.position(['c', 'd', 0]), { line: 3, column: 3 });
    assert.deepEqual(documents[1]?.position([0]), { line: 5, column: 3 });
  });

  for (const [what, text, fault] of [
    ['a key that is given twice', 'a: 1\nb: 2\na: 3\n', '3:1: "a" is given twice'],
    // JavaScript's objects have texts for keys: the second of these would have won without a word.
    ['a number and a text that are one key', '80: STRICT\n"80": DISABLE\n', '2:1: "80" is given twice'],
    ['a key that is no text', '? [a]\n: b\n', '1:3: a key must be a text'],
    ['a circle', 'a: &a\n  - *a\n', '2:5: *a is within what it stands for'],
    [
      'values that JSON lacks',
      '%YAML 1.1\n---\na: !!binary aGVsbG8=\n',
      '3:13: is of a kind that JSON does not have',
    ],
    ['an alias without anchor', 'a: *b\n', '1:4: there is no anchor &b before it'],
    [
      'half of a list',
      'a: [1, 2\n',
      '2:1: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
  ] as const)
    it(`is refused with the place: ${what}`, () => assert.equal(faultOf(text), fault));

  it('may hold the name of an object’s prototype', () => {
    assert.deepEqual(Object.entries(valueOf('__proto__: {a: b}\n') as object), [['__proto__', { a: 'b' }]]);
  });

  it('is refused when it is nested deeper than anybody means', () => {
    for (const depth of [yamlLimits.depth + 1, 1_000, 10_000]) {
      assert.match(faultOf(`${'['.repeat(depth)}${']'.repeat(depth)}`), /is nested deeper than/);
      assert.match(faultOf(`${'- '.repeat(depth)}x`), /is nested deeper than/);
    }
    valueOf(`${'['.repeat(yamlLimits.depth)}${']'.repeat(yamlLimits.depth)}`);
  });

  it('is refused when its aliases multiply', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 12; i += 1) lines.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(10)}]`);

    assert.match(faultOf(lines.join('\n')), /aliases make more than/);
  });

  it('is refused when it has more parts than memory would hold', () => {
    assert.match(faultOf(`[${'a,'.repeat(500)}]`, { parts: 1_000 }), /more than 1000 words and signs/);
    assert.match(faultOf('---\n'.repeat(11), { documents: 10 }), /more than 10 documents/);
    assert.match(faultOf('...\n'.repeat(11), { documents: 10 }), /more than 10 documents/);
  });

  it('with a million mistakes is told a few', () => {
    for (const text of [
      '"'.repeat(300_000),
      '"\\q" '.repeat(50_000),
      '- %\t@`\n'.repeat(30_000),
      '['.repeat(2_000),
    ])
      assert.ok(readYaml(text).faults.length <= yamlLimits.faults);
  }).timeout(60_000);

  for (const [what, make] of [
    ['keys', (n: number) => Array.from({ length: n }, (_, i) => `k${i}: v\n`).join('')],
    [
      'anchors and aliases',
      (n: number) => Array.from({ length: n }, (_, i) => `- &a${i} x\n- *a${i}\n`).join(''),
    ],
    ['documents', (n: number) => 'a: b\n---\n'.repeat(n)],
  ] as const)
    it(`is read in time proportional to its ${what}`, () => {
      // These were quadratic: half a megabyte of keys held the controller up for eleven seconds.
      assert.ok(growth(1_000, make, readYaml) < 24);
    }).timeout(120_000);
});

describe('YAML as it comes', () => {
  // -0 has no sign in JSON.
  const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);

  it('brings back what was written', () => {
    check(
      fc.property(json, (value) => {
        assert.deepEqual(valueOf(stringify(value)), value);
        assert.deepEqual(valueOf(JSON.stringify(value)), value);
      }),
    );
  }).timeout(propertyTimeoutMs());

  it('is read or refused, and what is read is what the package would read', () => {
    const broken = brokenText(
      fc.oneof(
        json.map((value) => stringify(value)),
        anyText,
      ),
    );
    check(
      fc.property(broken, (text) => {
        const { documents, faults } = readYaml(text);
        if (faults.length > 0) {
          assert.deepEqual(documents, []);
          assert.ok(faults.every(({ line, column, message }) => line >= 1 && column >= 1 && message !== ''));
        } else if (documents.length === 1)
          assert.deepEqual(documents[0]?.value, parse(text, { logLevel: 'silent', uniqueKeys: false }));
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());
});
