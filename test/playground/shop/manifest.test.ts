import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { hostsFile, parseFile, readShop, shopOf } from '../../../src/playground/shop/manifest.ts';

const sample = fileURLToPath(new URL('../../../src/playground/shop/manifests', import.meta.url));

describe('the sample shop', () => {
  it('has two nodes and at least six pods of three namespaces, one of them not enrolled', async () => {
    const shop = await readShop(sample);

    const namespaces = new Map(shop.pods.map((pod) => [pod.namespace, pod.enrolled]));
    assert.equal(shop.nodes.length, 2);
    assert.ok(shop.pods.length >= 6);
    assert.deepEqual([...namespaces].sort(), [
      ['data', true],
      ['legacy', false],
      ['shop', true],
    ]);
  });

  it('gives every pod both families and no two pods the same address', async () => {
    const shop = await readShop(sample);

    const addresses = shop.pods.flatMap((pod) => pod.addresses);
    assert.equal(new Set(addresses).size, shop.pods.length * 2);
  });

  it('resolves a service by its short name in its own namespace only', async () => {
    const shop = await readShop(sample);

    assert.match(hostsFile(shop, 'shop'), /^10\.96\.0\.10 .* cart$/m);
    assert.doesNotMatch(hostsFile(shop, 'data'), / cart$/m);
    assert.match(hostsFile(shop, 'data'), /^10\.96\.0\.10 .*cart\.shop$/m);
  });
});

describe('a manifest that cannot be used', () => {
  const pod = (text: string): (() => unknown) => {
    return () => shopOf(parseFile('pods.yaml', text));
  };
  const valid = `kind: Pod
metadata: { name: a, namespace: shop }
spec: { nodeName: node1, containers: [] }
status: { podIPs: [{ ip: 10.0.0.1 }] }
`;

  it('names the file and the line of broken YAML', () => {
    assert.throws(pod('kind: [Pod\n'), {
      code: 'ERR_CULVERT_PLAYGROUND_MANIFEST',
      message: /^pods\.yaml: .*line \d+/s,
    });
  });

  it('names the field of a wrong type', () => {
    assert.throws(pod(valid.replace('containers: []', 'containers: 3')), { message: /spec\.containers/ });
  });

  it('names the pod whose node does not exist', () => {
    assert.throws(pod(valid), { message: /shop\/a: there is no Node node1/ });
  });

  it('refuses a pod name that is no name of an interface', () => {
    assert.throws(pod(valid.replace('name: a,', 'name: a-name-that-is-long,')), { message: /15 characters/ });
  });

  it('takes a pod that opted out of an enrolled namespace for not enrolled', () => {
    const text = `kind: Namespace
metadata: { name: shop, labels: { culvert.dev/dataplane-mode: ambient } }
---
kind: Node
metadata: { name: node1 }
---
${valid.replace('namespace: shop', "namespace: shop, labels: { culvert.dev/dataplane-mode: 'none' }")}`;

    const shop = shopOf(parseFile('pods.yaml', text));

    assert.equal(shop.pods[0]?.enrolled, false);
  });
});
