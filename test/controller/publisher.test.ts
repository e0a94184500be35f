import assert from 'node:assert/strict';
import { Publisher } from '../../src/controller/publisher.ts';
import type { Caller } from '../../src/xds/types.ts';
import { typeUrls } from '../../src/xds/types.ts';
import { podYaml, policyYaml, translated } from './manifests.ts';

const node1: Caller = {
  namespace: 'culvert-system',
  serviceAccount: 'ztunnel',
  name: 'node1',
  node: 'node1',
};
const node2: Caller = { ...node1, name: 'node2', node: 'node2' };
const waypoint: Caller = { namespace: 'shop', serviceAccount: 'waypoint', name: 'waypoint' };
const a = podYaml('a', '10.0.0.1');
const b = podYaml('b', '10.0.0.2', { spec: 'nodeName: node2' });

describe('a publisher', () => {
  it('is ready from the first publication on, even of an empty mesh, and says so', () => {
    const publisher = new Publisher();
    let calls = 0;
    publisher.subscribe(() => (calls += 1));
    assert.equal(publisher.ready, false);

    publisher.publish(translated(''));

    assert.deepEqual([publisher.ready, calls], [true, 1]);
  });

  it('leaves untouched what did not change: the maps, the resources, and those who listen', () => {
    const publisher = new Publisher();
    publisher.publish(translated(a + b + policyYaml('p', '{}')));
    const addresses = publisher.resources(typeUrls.address, node1);
    const policies = publisher.resources(typeUrls.authorization, node1);
    let calls = 0;
    publisher.subscribe(() => (calls += 1));

    assert.deepEqual(publisher.publish(translated(policyYaml('p', '{}') + b + a)), {
      changed: 0,
      removed: 0,
    });
    assert.equal(publisher.resources(typeUrls.address, node1), addresses);
    assert.equal(calls, 0);

    const published = publisher.publish(
      translated(a + b.replace('10.0.0.2', '10.0.0.3') + policyYaml('p', '{}')),
    );

    assert.deepEqual(published, { changed: 1, removed: 0 });
    assert.equal(calls, 1);
    const after = publisher.resources(typeUrls.address, node1);
    assert.equal(after.get('test//Pod/shop/a'), addresses.get('test//Pod/shop/a'));
    assert.notEqual(after.get('test//Pod/shop/b')?.version, addresses.get('test//Pod/shop/b')?.version);
    assert.equal(publisher.resources(typeUrls.authorization, node1), policies);
  });

  it('drops what is gone', () => {
    const publisher = new Publisher();
    publisher.publish(translated(a + b));

    // A workload and the settings of its pod.
    assert.deepEqual(publisher.publish(translated(a)), { changed: 0, removed: 2 });
    assert.deepEqual([...publisher.resources(typeUrls.address, node1).keys()], ['test//Pod/shop/a']);
  });

  it('tells a node of its own pods and nobody else of them', () => {
    const publisher = new Publisher();
    publisher.publish(translated(a + b));
    const pods = (caller: Caller): readonly string[] => [...publisher.resources(typeUrls.pod, caller).keys()];

    assert.deepEqual(pods(node1), ['test//Pod/shop/a']);
    assert.deepEqual(pods(node2), ['test//Pod/shop/b']);
    assert.deepEqual(pods(waypoint), []);
    assert.deepEqual(pods({ ...node1, node: 'node3' }), []);
  });

  it('moves the settings of a pod that moves', () => {
    const publisher = new Publisher();
    publisher.publish(translated(a));

    publisher.publish(translated(a.replace('node1', 'node2')));

    assert.equal(publisher.resources(typeUrls.pod, node1).size, 0);
    assert.equal(publisher.resources(typeUrls.pod, node2).size, 1);
  });

  it('can be asked for a workload by its address', () => {
    const publisher = new Publisher();
    publisher.publish(translated(a));

    assert.deepEqual(publisher.resources(typeUrls.address, node1).get('test//Pod/shop/a')?.aliases, [
      '/10.0.0.1',
    ]);
  });

  it('grants a node the identities of its pods for as long as they are there', () => {
    const publisher = new Publisher();
    assert.deepEqual([...publisher.identitiesOnNode('node1')], []);
    publisher.publish(translated(a + b));
    assert.deepEqual([...publisher.identitiesOnNode('node1')], ['spiffe://cluster.local/ns/shop/sa/a']);
    assert.deepEqual([...publisher.identitiesOnNode('node2')], ['spiffe://cluster.local/ns/shop/sa/b']);

    publisher.publish(translated(b));

    assert.deepEqual([...publisher.identitiesOnNode('node1')], []);
  });

  it('calls nobody who has left', () => {
    const publisher = new Publisher();
    let calls = 0;
    publisher.subscribe(() => (calls += 1))();

    publisher.publish(translated(a));

    assert.equal(calls, 0);
  });
});
