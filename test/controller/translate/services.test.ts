import assert from 'node:assert/strict';
import { MeshSnapshot } from '../../../src/mesh/snapshot.ts';
import { ip } from '../../../src/mesh/address.ts';
import type { LoadBalancing, Service } from '../../../src/mesh/service.ts';
import { linesOf, podYaml, translated } from '../manifests.ts';

const key = 'shop/web.shop.svc.cluster.local';

function serviceYaml(spec: string, annotations = ''): string {
  return `\n---\napiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop, annotations: { ${annotations} } }\nspec: { ${spec} }\n`;
}

function sliceYaml(name: string, rest: string): string {
  return `\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: web } }\n${rest}\n`;
}

function serviceOf(spec: string, annotations?: string): Service {
  const service = translated(serviceYaml(spec, annotations)).services.get(key);
  assert.ok(service);
  return service;
}

/** Which ports each workload serves of the service. */
function endpointsOf(yaml: string): Readonly<Record<string, string>> {
  const { workloads } = translated(yaml);
  const found = [...workloads.values()].filter(({ services }) => services.has(key));
  return Object.fromEntries(
    found.map(({ uid, services }) => [
      uid.replace(/^test\/\/?/, ''),
      (services.get(key) ?? [])
        .map(({ servicePort, targetPort }) => `${servicePort}:${targetPort}`)
        .join(' '),
    ]),
  );
}

describe('a Service becomes a mesh service', () => {
  it('with its host name, addresses and TCP ports', () => {
    const service = serviceOf(
      'clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "fd00::1"], ports: [{ name: http, port: 80, targetPort: 8080 }, { name: dns, port: 53, protocol: UDP }, { name: x, port: 81 }, { name: y, port: 82, targetPort: named }]',
    );

    assert.deepEqual(service, {
      name: 'web',
      namespace: 'shop',
      hostname: 'web.shop.svc.cluster.local',
      addresses: [
        { network: '', ip: '10.96.0.1' },
        { network: '', ip: 'fd00::1' },
      ],
      ports: [
        { servicePort: 80, targetPort: 8080, appProtocol: 'http11' },
        { servicePort: 81, targetPort: 81, appProtocol: 'unknown' },
        { servicePort: 82, targetPort: 0, appProtocol: 'unknown' },
      ],
      loadBalancing: { mode: 'any', scopes: [], allowUnhealthy: false },
      subjectAltNames: [],
      canonical: true,
    });
  });

  it('without addresses if it is headless', () => {
    assert.deepEqual(serviceOf('clusterIP: None, clusterIPs: [None], ports: [{ port: 80 }]').addresses, []);
  });

  it('not at all if it is a name for something else', () => {
    assert.equal(translated(serviceYaml('type: ExternalName, externalName: example.org')).services.size, 0);
  });

  const near = ['network', 'region', 'zone'] as const;
  const balancing: readonly (readonly [
    spec: string,
    annotations: string,
    expected: Partial<LoadBalancing>,
  ])[] = [
    ['internalTrafficPolicy: Local', '', { mode: 'strict', scopes: ['node'] }],
    [
      'internalTrafficPolicy: Local, trafficDistribution: PreferClose',
      '',
      { mode: 'strict', scopes: ['node'] },
    ],
    ['trafficDistribution: PreferClose', '', { mode: 'failover', scopes: near }],
    ['trafficDistribution: PreferSameZone', '', { mode: 'failover', scopes: near }],
    ['trafficDistribution: PreferSameNode', '', { mode: 'failover', scopes: [...near, 'subzone', 'node'] }],
    [
      'type: ClusterIP',
      'networking.istio.io/traffic-distribution: PreferClose',
      { mode: 'failover', scopes: near },
    ],
    ['publishNotReadyAddresses: true', '', { allowUnhealthy: true }],
    ['sessionAffinity: ClientIP', '', { clientIpAffinityMs: 10_800_000 }],
    [
      'sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } }',
      '',
      { clientIpAffinityMs: 5000 },
    ],
  ];
  for (const [spec, annotations, expected] of balancing) {
    it(`balanced as { ${spec} } { ${annotations} } asks`, () => {
      assert.deepEqual(serviceOf(spec, annotations).loadBalancing, {
        mode: 'any',
        scopes: [],
        allowUnhealthy: false,
        ...expected,
      });
    });
  }

  const protocols: readonly (readonly [port: string, protocol: string])[] = [
    ['name: grpc-api', 'grpc'],
    ['name: https', 'tls'],
    ['name: db', 'unknown'],
    ['name: http, appProtocol: kubernetes.io/h2c', 'http2'],
    ['name: http, appProtocol: toString', 'unknown'],
    ['appProtocol: tcp', 'tcp'],
  ];
  for (const [port, protocol] of protocols) {
    it(`whose port { ${port} } speaks ${protocol}`, () => {
      assert.equal(serviceOf(`ports: [{ port: 80, ${port} }]`).ports[0]?.appProtocol, protocol);
    });
  }

  it('and reports an address that another claims', () => {
    const one = serviceYaml('clusterIP: 10.96.0.1');

    const { problems } = translated(one + one.replace('name: web', 'name: other'));

    assert.match(
      linesOf(problems).join('\n'),
      /Service shop\/other: spec: 10\.96\.0\.1 is an address of Service shop\/web/,
    );
  });
});

describe('the endpoints of a service are', () => {
  const pods =
    podYaml('a', '10.0.0.1', {
      labels: 'app: web',
      spec: 'containers: [{ name: c, ports: [{ name: p, containerPort: 8080 }] }]',
    }) +
    podYaml('b', '10.0.0.2', {
      labels: 'app: web',
      spec: 'containers: [{ name: c, ports: [{ name: p, containerPort: 9090 }] }]',
    }) +
    podYaml('c', '10.0.0.3', { labels: 'app: web' }) +
    podYaml('d', '10.0.0.4', { labels: 'app: other' }) +
    podYaml('e', '10.0.0.5', { labels: 'app: web', namespace: 'elsewhere' });

  it('the pods that it selects, each with its own number for a named port', () => {
    const found = endpointsOf(
      pods +
        serviceYaml(
          'selector: { app: web }, ports: [{ name: n, port: 80, targetPort: p }, { name: m, port: 81 }]',
        ),
    );

    assert.deepEqual(found, {
      'Pod/shop/a': '80:8080 81:81',
      'Pod/shop/b': '80:9090 81:81',
      'Pod/shop/c': '81:81',
    });
  });

  it('none without a selector and without slices', () => {
    assert.deepEqual(endpointsOf(pods + serviceYaml('ports: [{ port: 80 }]')), {});
  });

  it('what slices say, not what the selector says, where there are slices', () => {
    const slice = sliceYaml(
      's1',
      'addressType: IPv4\nports: [{ name: n, port: 8080 }]\nendpoints: [{ addresses: [10.0.0.4], targetRef: { kind: Pod, name: d } }, { addresses: [10.0.0.9], targetRef: { kind: Pod, name: gone } }]',
    );

    const found = endpointsOf(
      pods + serviceYaml('selector: { app: web }, ports: [{ name: n, port: 80 }]') + slice,
    );

    assert.deepEqual(found, { 'Pod/shop/d': '80:8080' });
  });

  it('addresses that belong to no pod, and pods that are named by address', () => {
    const slices =
      sliceYaml(
        's1',
        'addressType: IPv4\nports: [{ name: n, port: 5432 }]\nendpoints: [{ addresses: [192.168.0.9] }, { addresses: [10.0.0.4] }]',
      ) +
      sliceYaml(
        's2',
        'addressType: IPv6\nports: [{ name: n, port: 5433 }]\nendpoints: [{ addresses: ["fd00::9"], conditions: { ready: false }, zone: z }]',
      );
    const yaml = pods + serviceYaml('ports: [{ name: n, port: 80 }]') + slices;

    assert.deepEqual(endpointsOf(yaml), {
      'Pod/shop/d': '80:5432',
      'discovery.k8s.io/EndpointSlice/shop/192.168.0.9': '80:5432',
      'discovery.k8s.io/EndpointSlice/shop/fd00::9': '80:5433',
    });
    const stranger = translated(yaml).workloads.get('test/discovery.k8s.io/EndpointSlice/shop/fd00::9');
    assert.deepEqual(
      [stranger?.healthy, stranger?.locality.zone, stranger?.tunnelProtocol, stranger?.name],
      [false, 'z', 'none', 'web'],
    );
  });

  it('one workload for an address that several services name, so that it is found by address', () => {
    const one =
      serviceYaml('ports: [{ port: 80 }]') +
      sliceYaml('s', 'addressType: IPv4\nports: [{ port: 1 }]\nendpoints: [{ addresses: [192.168.0.9] }]');
    const two = one
      .replaceAll('name: web', 'name: two')
      .replace('name: s,', 'name: t,')
      .replace('service-name: web', 'service-name: two');

    const { workloads } = translated(one + two);
    const mesh = MeshSnapshot.empty().with({ workloads: [...workloads.values()] });

    assert.equal(mesh.workloadAt('', ip('192.168.0.9'))?.services.size, 2);
  });

  it('of the same making in whatever order the services come', () => {
    const one =
      serviceYaml('ports: [{ port: 80 }]') +
      sliceYaml(
        's',
        'addressType: IPv4\nports: [{ port: 1 }]\nendpoints: [{ addresses: [192.168.0.9], zone: x }]',
      );
    const two = one
      .replaceAll('name: web', 'name: two')
      .replace('name: s,', 'name: t,')
      .replace('zone: x', 'zone: y')
      .replace('service-name: web', 'service-name: two');

    assert.deepEqual(translated(one + two).workloads, translated(two + one).workloads);
  });

  it('never the loopback, and the operator hears of it', () => {
    const yaml =
      serviceYaml('ports: [{ port: 80 }]') +
      sliceYaml('s', 'addressType: IPv4\nports: [{ port: 1 }]\nendpoints: [{ addresses: [127.0.0.1] }]');

    const { workloads, problems } = translated(yaml);

    assert.equal(workloads.size, 0);
    assert.match(
      linesOf(problems)[0] ?? '',
      /EndpointSlice shop\/s: endpoints\[0\]\.addresses\[0\]: "127\.0\.0\.1"/,
    );
  });
});
