import assert from 'node:assert/strict';
import type { Workload } from '../../../src/mesh/workload.ts';
import { linesOf, podYaml, translated } from '../manifests.ts';

const nodeYaml = `
---
apiVersion: v1
kind: Node
metadata:
  name: node1
  labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1, topology.istio.io/subzone: rack7 }
  annotations: { culvert.dev/node-addresses: '10.244.1.1, fd00::1' }
status:
  addresses:
    - { type: InternalIP, address: 172.30.1.2 }
    - { type: Hostname, address: node1 }
`;

function namespaceYaml(name: string, labels = ''): string {
  return `\n---\napiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: { ${labels} } }\n`;
}

function workloadOf(yaml: string): Workload {
  const { workloads, problems } = translated(yaml);
  const workload = workloads.get('test//Pod/shop/a');
  assert.ok(workload, linesOf(problems).join('\n'));
  return workload;
}

describe('a pod becomes a workload', () => {
  it('with its addresses, identity and place', () => {
    const workload = workloadOf(nodeYaml + podYaml('a', '10.0.0.1', { labels: 'app: cart, version: v2' }));

    assert.deepEqual(workload, {
      uid: 'test//Pod/shop/a',
      name: 'a',
      namespace: 'shop',
      addresses: ['10.0.0.1'],
      network: '',
      tunnelProtocol: 'none',
      trustDomain: 'cluster.local',
      serviceAccount: 'a',
      node: 'node1',
      canonicalName: 'cart',
      canonicalRevision: 'v2',
      workloadType: 'pod',
      workloadName: 'a',
      clusterId: 'test',
      healthy: true,
      hostNetwork: false,
      nativeTunnel: false,
      hostname: '',
      locality: { region: 'eu', zone: 'eu-1', subzone: 'rack7' },
      capacity: 1,
      policies: [],
      services: new Map(),
    });
  });

  const enrolments: readonly (readonly [namespace: string, pod: string, enrolled: boolean])[] = [
    ['', '', false],
    ['culvert.dev/dataplane-mode: ambient', '', true],
    ['istio.io/dataplane-mode: ambient', '', true],
    ['culvert.dev/dataplane-mode: none, istio.io/dataplane-mode: ambient', '', false],
    ['culvert.dev/dataplane-mode: ambient', 'culvert.dev/dataplane-mode: none', false],
    ['culvert.dev/dataplane-mode: ambient', 'istio.io/dataplane-mode: none', false],
    ['', 'culvert.dev/dataplane-mode: ambient', true],
    ['culvert.dev/dataplane-mode: ambient', 'culvert.dev/dataplane-mode: nnoe', true],
    ['culvert.dev/dataplane-mode: embient', '', false],
  ];
  for (const [namespace, pod, enrolled] of enrolments) {
    it(`${enrolled ? 'in' : 'outside'} the mesh: namespace {${namespace}}, pod {${pod}}`, () => {
      const yaml = namespaceYaml('shop', namespace) + podYaml('a', '10.0.0.1', { labels: pod });

      const translation = translated(yaml);

      assert.equal(workloadOf(yaml).tunnelProtocol, enrolled ? 'hbone' : 'none');
      assert.equal(translation.pods.get('test//Pod/shop/a')?.settings.enrolled, enrolled);
    });
  }

  it('reports a mode that it does not know', () => {
    const { problems } = translated(namespaceYaml('shop', 'culvert.dev/dataplane-mode: embient'));

    assert.match(
      linesOf(problems).join('\n'),
      /^5:35: error: Namespace shop: metadata\.labels\[.*"embient" is neither/,
    );
  });

  it('and warns of a waypoint that it asks for, since it will be reached without', () => {
    const { problems } = translated(
      namespaceYaml('shop', 'istio.io/use-waypoint: w') + podYaml('a', '10.0.0.1'),
    );

    assert.match(
      linesOf(problems).join('\n'),
      /warning: Namespace shop: metadata\.labels\[.*traffic goes direct/,
    );
  });

  it('in the mesh if its namespace cannot be understood', () => {
    assert.equal(
      workloadOf(namespaceYaml('shop', 'a: 1') + podYaml('a', '10.0.0.1')).tunnelProtocol,
      'hbone',
    );
  });

  it('outside the mesh on the host network, whatever its labels say', () => {
    const workload = workloadOf(
      podYaml('a', '10.0.0.1', { labels: 'culvert.dev/dataplane-mode: ambient', spec: 'hostNetwork: true' }),
    );

    assert.deepEqual([workload.hostNetwork, workload.tunnelProtocol], [true, 'none']);
  });

  it('that speaks HBONE by itself', () => {
    const workload = workloadOf(podYaml('a', '10.0.0.1', { labels: 'networking.istio.io/tunnel: http' }));

    assert.deepEqual([workload.nativeTunnel, workload.tunnelProtocol], [true, 'hbone']);
  });

  const owners: readonly (readonly [owner: string, labels: string, name: string, type: string])[] = [
    ['ReplicaSet/web-5d4', 'pod-template-hash: 5d4', 'web', 'deployment'],
    ['ReplicaSet/bare', '', 'bare', 'pod'],
    ['Job/report-28912345', '', 'report', 'cronjob'],
    ['Job/import', '', 'import', 'job'],
    ['StatefulSet/db', '', 'db', 'pod'],
  ];
  for (const [owner, labels, name, type] of owners) {
    it(`named after its ${owner}`, () => {
      const [kind, ownerName] = owner.split('/');
      const yaml = podYaml('a', '10.0.0.1', { labels }).replace(
        'name: a,',
        `name: a, ownerReferences: [{ kind: ${kind}, name: ${ownerName}, controller: true }],`,
      );

      const workload = workloadOf(yaml);

      assert.deepEqual([workload.workloadName, workload.workloadType], [name, type]);
    });
  }

  const ready = podYaml('a', '10.0.0.1');
  const health: readonly (readonly [what: string, yaml: string])[] = [
    ['whose probe fails', ready.replace("status: 'True'", "status: 'False'")],
    ['that is pending', ready.replace('phase: Running', 'phase: Pending')],
    [
      'that is being deleted',
      ready.replace('name: a,', 'name: a, deletionTimestamp: "2026-01-01T00:00:00Z",'),
    ],
  ];
  for (const [what, yaml] of health) {
    it(`that takes no connections: one ${what}`, () => {
      assert.equal(workloadOf(yaml).healthy, false);
    });
  }

  for (const phase of ['Succeeded', 'Failed']) {
    it(`no longer, once it has ${phase.toLowerCase()}`, () => {
      const translation = translated(ready.replace('phase: Running', `phase: ${phase}`));

      assert.deepEqual([translation.workloads.size, translation.pods.size], [0, 0]);
    });
  }

  it('only with an address; its node knows it before', () => {
    const translation = translated(ready.replace("podIPs: [{ ip: '10.0.0.1' }]", 'podIPs: []'));

    assert.equal(translation.workloads.size, 0);
    assert.equal(translation.pods.get('test//Pod/shop/a')?.node, 'node1');
  });

  for (const address of ['10.0.0', 'localhost', '127.0.0.1', '::1']) {
    it(`without the address "${address}", which is reported`, () => {
      const translation = translated(podYaml('a', address));

      assert.equal(translation.workloads.size, 0);
      assert.match(
        linesOf(translation.problems).join('\n'),
        /Pod shop\/a: status\.podIPs\[0\]\.ip: ".*" is not an address/,
      );
    });
  }

  it('and reports an address that two of them claim, naming both', () => {
    const { problems } = translated(podYaml('a', '10.0.0.1') + podYaml('b', '10.0.0.1'));

    assert.match(
      linesOf(problems).join('\n'),
      /error: Pod shop\/b: status: 10\.0\.0\.1 is an address of Pod shop\/a/,
    );
  });

  it('and says nothing of pods that share the host network', () => {
    const host = (name: string): string => podYaml(name, '10.0.0.1', { spec: 'hostNetwork: true' });

    assert.deepEqual(translated(host('a') + host('b')).problems, []);
  });
});

describe("a pod's node is told", () => {
  it('which ports are probed, by number and by name, and from where', () => {
    const yaml = podYaml('a', '10.0.0.1', {
      spec: `nodeName: node1, containers: [{ name: c, ports: [{ name: web, containerPort: 8080 }],
        readinessProbe: { httpGet: { port: web } }, livenessProbe: { tcpSocket: { port: 9000 } },
        startupProbe: { grpc: { port: 9001 } }, lifecycle: { preStop: { httpGet: { port: 9002 } } } },
        { name: d, readinessProbe: { httpGet: { port: 1, host: example.org } }, livenessProbe: { exec: {} } }]`.replaceAll(
        '\n',
        ' ',
      ),
    });

    const { pods, problems } = translated(nodeYaml + yaml);

    assert.deepEqual(problems, []);
    assert.deepEqual(pods.get('test//Pod/shop/a')?.settings.probePorts, [8080, 9000, 9001, 9002]);
    assert.deepEqual(pods.get('test//Pod/shop/a')?.settings.nodeAddresses, [
      '10.244.1.1',
      '172.30.1.2',
      'fd00::1',
    ]);
  });

  it('of a probe whose port has no such name: nothing, and the operator of it', () => {
    const yaml = podYaml('a', '10.0.0.1', {
      spec: 'nodeName: node1, containers: [{ name: c, readinessProbe: { httpGet: { port: web } } }]',
    });

    const { pods, problems } = translated(yaml);

    assert.deepEqual(pods.get('test//Pod/shop/a')?.settings.probePorts, []);
    assert.match(
      linesOf(problems)[0] ?? '',
      /spec\.containers\[0\]\.readinessProbe: the container has no port named "web"/,
    );
  });

  it('what is excluded from capture; what it cannot read stays captured and is reported', () => {
    const yaml = podYaml('a', '10.0.0.1').replace(
      'name: a,',
      `name: a, annotations: { culvert.dev/exclude-inbound-ports: '80, 22,80,x,0', culvert.dev/exclude-outbound-ports: '5432',
       culvert.dev/exclude-inbound-cidrs: '10.1.2.3/8', culvert.dev/exclude-outbound-cidrs: 'fd00::/8,10.0.0.0/33' },`.replaceAll(
        '\n',
        ' ',
      ),
    );

    const { pods, problems } = translated(yaml);

    assert.deepEqual(pods.get('test//Pod/shop/a')?.settings.exclusions, {
      inboundPorts: [22, 80],
      outboundPorts: [5432],
      inboundCidrs: [{ address: '10.0.0.0', length: 8 }],
      outboundCidrs: [{ address: 'fd00::', length: 8 }],
    });
    assert.deepEqual(
      problems.map(({ message }) => message.split(' ')[0]),
      ['"x"', '"0"', '"10.0.0.0/33"'],
    );
  });
});
