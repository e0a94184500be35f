// Manifests by the thousand: few names, so that objects meet, and texts that nobody should write.
import fc from 'fast-check';

const name = fc.constantFrom('a', 'b', 'c');
const namespace = fc.constantFrom('shop', 'root', 'other');
const text = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    '*',
    '*x',
    'x*',
    'a*b',
    '__proto__',
    'toString',
    '',
    '10.0.0.1',
    '80',
    'spiffe://x',
  ),
  fc.string({ maxLength: 8 }),
);
const address = fc.constantFrom(
  '10.0.0.1',
  '10.0.0.2',
  'fd00::1',
  '::ffff:10.0.0.1',
  '127.0.0.1',
  'nonsense',
  '',
);
const labels = fc.dictionary(
  fc.constantFrom(
    'app',
    'tier',
    'culvert.dev/dataplane-mode',
    'istio.io/dataplane-mode',
    'kubernetes.io/service-name',
    'pod-template-hash',
  ),
  fc.constantFrom('a', 'b', 'ambient', 'none', ''),
  { maxKeys: 3 },
);
const annotations = fc.dictionary(
  fc.constantFrom(
    'culvert.dev/dry-run',
    'culvert.dev/node-addresses',
    'culvert.dev/exclude-inbound-ports',
    'culvert.dev/traffic-distribution',
  ),
  text,
  { maxKeys: 2 },
);
const metadata = fc.record({ name, namespace, labels, annotations }, { requiredKeys: ['name', 'namespace'] });
const port = fc.integer({ min: 1, max: 65535 });
const portOrName = fc.oneof(port, fc.constantFrom('http', 'x'));
const maybe = { requiredKeys: [] };

const container = fc.record(
  {
    name,
    ports: fc.array(fc.record({ name: fc.constantFrom('http', 'x'), containerPort: port }), { maxLength: 2 }),
    readinessProbe: fc.record({ httpGet: fc.record({ port: portOrName }) }, maybe),
  },
  { requiredKeys: ['name'] },
);

const pod = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Pod'),
  metadata,
  spec: fc.record(
    {
      nodeName: name,
      serviceAccountName: name,
      hostNetwork: fc.boolean(),
      containers: fc.array(container, { maxLength: 2 }),
    },
    maybe,
  ),
  status: fc.record(
    {
      phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
      conditions: fc.array(
        fc.record({ type: fc.constant('Ready'), status: fc.constantFrom('True', 'False') }),
        { maxLength: 2 },
      ),
      podIPs: fc.array(fc.record({ ip: address }), { maxLength: 2 }),
    },
    maybe,
  ),
});

const service = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Service'),
  metadata,
  spec: fc.record(
    {
      type: fc.constantFrom('ClusterIP', 'ExternalName'),
      clusterIPs: fc.array(address, { maxLength: 2 }),
      selector: fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('a', 'b'), { maxKeys: 2 }),
      ports: fc.array(fc.record({ name: text, port, targetPort: portOrName }, { requiredKeys: ['port'] }), {
        maxLength: 3,
      }),
      internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
      trafficDistribution: fc.constantFrom('PreferClose', 'PreferSameNode'),
      sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    },
    maybe,
  ),
});

const slice = fc.record({
  apiVersion: fc.constant('discovery.k8s.io/v1'),
  kind: fc.constant('EndpointSlice'),
  metadata: fc.record({
    name,
    namespace,
    labels: fc.record({ 'kubernetes.io/service-name': name }),
  }),
  addressType: fc.constantFrom('IPv4', 'IPv6', 'FQDN'),
  ports: fc.array(fc.record({ name: text, port }, maybe), { maxLength: 2 }),
  endpoints: fc.array(
    fc.record(
      {
        addresses: fc.array(address, { minLength: 1, maxLength: 2 }),
        conditions: fc.record({ ready: fc.boolean() }, maybe),
        targetRef: fc.record({ kind: fc.constantFrom('Pod', 'Node'), name }),
        nodeName: name,
        zone: text,
      },
      { requiredKeys: ['addresses'] },
    ),
    { maxLength: 2 },
  ),
});

const texts = fc.array(text, { minLength: 1, maxLength: 2 });
const selector = fc.record(
  { matchLabels: fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('a', 'b'), { maxKeys: 2 }) },
  maybe,
);
const group = fc.constantFrom('security.culvert.dev/v1', 'security.istio.io/v1', 'security.istio.io/v9');

const policy = fc.record({
  apiVersion: group,
  kind: fc.constant('AuthorizationPolicy'),
  metadata,
  spec: fc.record(
    {
      selector,
      action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT', 'CUSTOM', 'NONE'),
      rules: fc.array(
        fc.record(
          {
            from: fc.array(
              fc.record({
                source: fc.record(
                  {
                    principals: texts,
                    notNamespaces: texts,
                    ipBlocks: texts,
                    serviceAccounts: texts,
                    requestPrincipals: texts,
                  },
                  maybe,
                ),
              }),
              { minLength: 1, maxLength: 2 },
            ),
            to: fc.array(fc.record({ operation: fc.record({ ports: texts, methods: texts }, maybe) }), {
              minLength: 1,
              maxLength: 2,
            }),
            when: fc.array(
              fc.record({
                key: fc.constantFrom('source.ip', 'destination.port', 'request.headers[x]', 'x'),
                values: texts,
              }),
              { minLength: 1, maxLength: 2 },
            ),
          },
          maybe,
        ),
        { maxLength: 2 },
      ),
    },
    maybe,
  ),
});

const mode = fc.constantFrom('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT', 'NONE');
const peerAuthentication = fc.record({
  apiVersion: group,
  kind: fc.constant('PeerAuthentication'),
  metadata,
  spec: fc.record(
    {
      selector,
      mtls: fc.record({ mode }, maybe),
      portLevelMtls: fc.dictionary(fc.constantFrom('80', '81', 'x'), fc.record({ mode }, maybe), {
        maxKeys: 2,
      }),
    },
    maybe,
  ),
});

const clusterScoped = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constantFrom('Namespace', 'Node'),
  metadata: fc.record({ name: fc.oneof(name, namespace), labels, annotations }),
  status: fc.record({
    addresses: fc.array(fc.record({ type: fc.constant('InternalIP'), address }), { maxLength: 2 }),
  }),
});

/** A document of any kind that is handled; some are wrong. */
export const manifest: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: pod, weight: 4 },
  { arbitrary: service, weight: 2 },
  { arbitrary: slice, weight: 2 },
  { arbitrary: policy, weight: 2 },
  { arbitrary: peerAuthentication, weight: 2 },
  clusterScoped,
);
