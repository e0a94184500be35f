import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BrokenObject, MeshObject, ObjectSet } from '../../../src/controller/objects/object-set.ts';
import { keyOf, objectKey, objectSet } from '../../../src/controller/objects/object-set.ts';
import { parseManifest } from '../../../src/controller/objects/parse.ts';
import { Publisher } from '../../../src/controller/publisher.ts';
import { translate } from '../../../src/controller/translate/translate.ts';
import type { TypeUrl } from '../../../src/xds/types.ts';
import { typeUrls } from '../../../src/xds/types.ts';
import { manifest } from '../arbitrary-objects.ts';
import { settings } from '../manifests.ts';

/** As a source would hold them: one object per key. */
function setOf(documents: readonly unknown[]): ObjectSet {
  const objects = new Map<string, MeshObject>();
  const broken = new Map<string, BrokenObject>();
  for (const document of documents) {
    const parsed = parseManifest(document);
    if (parsed.kind === 'object') objects.set(`${parsed.object.kind} ${keyOf(parsed.object)}`, parsed.object);
    if (parsed.kind === 'broken')
      broken.set(`${parsed.broken.kind} ${objectKey(parsed.broken)}`, parsed.broken);
  }
  for (const key of broken.keys()) objects.delete(key);
  return objectSet(objects.values(), [...broken.values()]);
}

/** What each client of a publisher would be served: names and versions. */
function servedBy(publisher: Publisher): object {
  const served: Record<string, unknown> = {};
  for (const node of ['a', 'b', 'c', undefined]) {
    const caller = {
      namespace: 'x',
      serviceAccount: 'y',
      name: 'z',
      ...(node === undefined ? {} : { node }),
    };
    for (const type of Object.values(typeUrls) as TypeUrl[])
      served[`${node} ${type}`] = [...publisher.resources(type, caller)]
        .map(([name, { version, aliases }]) => [name, version, aliases])
        .sort();
  }
  return served;
}

describe('translation of whatever can be written', () => {
  const documents = fc.array(manifest, { maxLength: 12 });

  it('never throws', () => {
    fc.assert(
      fc.property(documents, (each) => void translate(setOf(each), settings)),
      { numRuns: 400 },
    );
  });

  it('never throws on any value at all', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => void parseManifest(value)),
      { numRuns: 400 },
    );
  });

  it('does not depend on the order of objects', () => {
    fc.assert(
      fc.property(documents, (each) => {
        const set = setOf(each);
        const objects = Object.values(set).flatMap((found) => ('size' in found ? [...found.values()] : []));
        const reversed = objectSet((objects as MeshObject[]).toReversed(), set.broken.toReversed());
        const [one, other] = [translate(set, settings), translate(reversed, settings)];
        for (const part of ['workloads', 'services', 'policies', 'pods'] as const)
          assert.deepEqual(other[part], one[part]);
      }),
      { numRuns: 200 },
    );
  });

  it('names only policies that it sends', () => {
    fc.assert(
      fc.property(documents, (each) => {
        const { workloads, policies } = translate(setOf(each), settings);
        for (const workload of workloads.values())
          for (const key of workload.policies) assert.equal(policies.get(key)?.scope, 'workload', key);
      }),
      { numRuns: 200 },
    );
  });

  it('published step by step is what it is published at once', () => {
    fc.assert(
      fc.property(fc.array(documents, { minLength: 1, maxLength: 5 }), (steps) => {
        const stepwise = new Publisher();
        for (const step of steps) {
          stepwise.publish(translate(setOf(step), settings));
          servedBy(stepwise);
        }
        const atOnce = new Publisher();
        atOnce.publish(translate(setOf(steps.at(-1) ?? []), settings));
        assert.deepEqual(servedBy(stepwise), servedBy(atOnce));
      }),
      { numRuns: 100 },
    );
  });
});
