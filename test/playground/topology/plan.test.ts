import assert from 'node:assert/strict';
import { netnsName, planNetwork } from '../../../src/playground/topology/plan.ts';

const pods = [
  { name: 'web', node: 'n1', addresses: ['10.244.1.11', 'fd00:10:244:1::11'] },
  { name: 'db', node: 'n2', addresses: ['10.244.2.12'] },
];

describe('the plan of the network', () => {
  const plan = planNetwork('cv1', ['n1', 'n2'], pods);

  it('has a namespace for the router, each node and each pod, all named after the run', () => {
    const names = plan.namespaces.map((namespace) => namespace.netns);

    assert.deepEqual(names.sort(), ['cv1-db', 'cv1-n1', 'cv1-n2', 'cv1-router', 'cv1-web']);
  });

  it('lets the router and the nodes forward, and no pod', () => {
    const forwarding = plan.namespaces.filter((namespace) => namespace.forwards).map(({ netns }) => netns);

    assert.deepEqual(forwarding.sort(), ['cv1-n1', 'cv1-n2', 'cv1-router']);
  });

  it('creates a namespace before the batch that puts an interface into it', () => {
    const commands = plan.namespaces.flatMap((namespace) => namespace.commands);
    const targets = commands.flatMap((command) => /netns (\S+)$/.exec(command)?.[1] ?? []);

    assert.deepEqual(targets.sort(), [netnsName('cv1', 'db'), 'cv1-n1', 'cv1-n2', 'cv1-web']);
  });

  it('gives a pod with one address no route of the other family', () => {
    const db = plan.namespaces.find((namespace) => namespace.netns === 'cv1-db');

    assert.ok(db?.commands.some((command) => command.includes('10.244.2.12/32')));
    assert.ok(!db?.commands.some((command) => command.includes('::')));
  });

  it('numbers the subnets by node', () => {
    const web = plan.namespaces.find((namespace) => namespace.netns === 'cv1-web');

    assert.ok(web?.commands.includes('route add default via 10.244.1.1 dev eth0 src 10.244.1.11'));
    assert.ok(web?.commands.includes('route add ::/0 via fd00:10:244:1::1 dev eth0 src fd00:10:244:1::11'));
  });
});
