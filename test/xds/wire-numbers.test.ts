// The numbers on the wire, as other implementations know them: written down by hand, not derived from our files.
import assert from 'node:assert/strict';
import type { DescEnum, DescMessage } from '@bufbuild/protobuf';
import { NodeSchema } from '../../src/xds/generated/envoy/config/core/v3/base_pb.ts';
import {
  AggregatedDiscoveryService,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from '../../src/xds/generated/envoy/service/discovery/v3/discovery_pb.ts';
import { StatusSchema } from '../../src/xds/generated/google/rpc/status_pb.ts';
import * as security from '../../src/xds/generated/istio/security/authorization_pb.ts';
import * as auth from '../../src/xds/generated/istio/v1/auth/ca_pb.ts';
import * as workload from '../../src/xds/generated/istio/workload/workload_pb.ts';
import { paths } from '../../src/xds/grpc-methods.ts';

const messages: [DescMessage, string][] = [
  [workload.AddressSchema, 'workload=1 service=2'],
  [
    workload.ServiceSchema,
    'name=1 namespace=2 hostname=3 addresses=4 ports=5 subject_alt_names=6 waypoint=7 load_balancing=8 ip_families=9 extensions=10 canonical=11 ingress_use_waypoint=12 weighted_waypoints=13 visibility=14',
  ],
  [workload.LoadBalancingSchema, 'routing_preference=1 mode=2 health_policy=3'],
  [
    workload.WorkloadSchema,
    'name=1 namespace=2 addresses=3 network=4 tunnel_protocol=5 trust_domain=6 service_account=7 waypoint=8 node=9 canonical_name=10 canonical_revision=11 workload_type=12 workload_name=13 native_tunnel=14 authorization_policies=16 status=17 cluster_id=18 network_gateway=19 uid=20 hostname=21 services=22 application_tunnel=23 locality=24 network_mode=25 extensions=26 capacity=27',
  ],
  [workload.LocalitySchema, 'region=1 zone=2 subzone=3'],
  [workload.PortListSchema, 'ports=1'],
  [workload.PortSchema, 'service_port=1 target_port=2 app_protocol=3'],
  [workload.ApplicationTunnelSchema, 'protocol=1 port=2'],
  [workload.GatewayAddressSchema, 'hostname=1 address=2 hbone_mtls_port=3'],
  [workload.WeightedWaypointSchema, 'destination=1 weight=2'],
  [workload.NetworkAddressSchema, 'network=1 address=2 length=3'],
  [workload.NamespacedHostnameSchema, 'namespace=1 hostname=2'],
  [workload.ExtensionSchema, 'name=1 config=2'],
  [security.AuthorizationSchema, 'name=1 namespace=2 scope=3 action=4 rules=5 dry_run=6 extensions=7'],
  [security.RuleSchema, 'clauses=1'],
  [security.ClauseSchema, 'matches=2'],
  [
    security.MatchSchema,
    'namespaces=1 not_namespaces=2 principals=3 not_principals=4 source_ips=5 not_source_ips=6 destination_ips=7 not_destination_ips=8 destination_ports=9 not_destination_ports=10 service_accounts=11 not_service_accounts=12 extensions=13',
  ],
  [security.AddressSchema, 'address=1 length=2'],
  [security.ServiceAccountMatchSchema, 'namespace=1 serviceAccount=2'],
  [security.StringMatchSchema, 'exact=1 prefix=2 suffix=3 presence=4'],
  [auth.IstioCertificateRequestSchema, 'csr=1 validity_duration=3 metadata=4'],
  [auth.IstioCertificateResponseSchema, 'cert_chain=1'],
  [
    DeltaDiscoveryRequestSchema,
    'node=1 type_url=2 resource_names_subscribe=3 resource_names_unsubscribe=4 initial_resource_versions=5 response_nonce=6 error_detail=7',
  ],
  [DeltaDiscoveryResponseSchema, 'system_version_info=1 resources=2 type_url=4 nonce=5 removed_resources=6'],
  [ResourceSchema, 'version=1 resource=2 name=3 aliases=4 ttl=6'],
  [StatusSchema, 'code=1 message=2 details=3'],
  [NodeSchema, 'id=1 cluster=2 metadata=3 locality=4 user_agent_name=6 user_agent_version=7'],
];

const enums: [DescEnum, string][] = [
  [workload.Service_VisibilitySchema, 'PUBLIC=0 NAMESPACE=1'],
  [workload.IPFamiliesSchema, 'AUTOMATIC=0 IPV4_ONLY=1 IPV6_ONLY=2 DUAL=3'],
  [
    workload.LoadBalancing_ScopeSchema,
    'UNSPECIFIED_SCOPE=0 REGION=1 ZONE=2 SUBZONE=3 NODE=4 CLUSTER=5 NETWORK=6',
  ],
  [workload.LoadBalancing_ModeSchema, 'UNSPECIFIED_MODE=0 STRICT=1 FAILOVER=2 PASSTHROUGH=3'],
  [workload.LoadBalancing_HealthPolicySchema, 'ONLY_HEALTHY=0 ALLOW_ALL=1'],
  [workload.TunnelProtocolSchema, 'NONE=0 HBONE=1 LEGACY_ISTIO_MTLS=2'],
  [workload.WorkloadTypeSchema, 'DEPLOYMENT=0 CRONJOB=1 POD=2 JOB=3'],
  [workload.WorkloadStatusSchema, 'HEALTHY=0 UNHEALTHY=1'],
  [workload.NetworkModeSchema, 'STANDARD=0 HOST_NETWORK=1'],
  [workload.AppProtocolSchema, 'UNKNOWN=0 HTTP11=1 HTTP2=2 GRPC=3 TCP=4 TLS=5'],
  [workload.ApplicationTunnel_ProtocolSchema, 'NONE=0 PROXY=1'],
  [security.ScopeSchema, 'GLOBAL=0 NAMESPACE=1 WORKLOAD_SELECTOR=2'],
  [security.ActionSchema, 'ALLOW=0 DENY=1'],
];

describe('the wire', () => {
  for (const [schema, expected] of messages)
    it(`numbers the fields of ${schema.typeName} as others do`, () => {
      const fields = schema.fields.map((field) => `${field.name}=${field.number}`);

      assert.deepEqual(fields.sort(), expected.split(' ').sort());
    });

  for (const [schema, expected] of enums)
    it(`numbers the values of ${schema.typeName} as others do`, () => {
      assert.deepEqual(
        schema.values.map((value) => `${value.name}=${value.number}`),
        expected.split(' '),
      );
    });

  it('calls the services by the names others call them', () => {
    const path = (service: { readonly typeName: string }, method: string): string =>
      `/${service.typeName}/${method}`;

    assert.equal(path(AggregatedDiscoveryService, 'DeltaAggregatedResources'), paths.delta);
    assert.equal(path(auth.IstioCertificateService, 'CreateCertificate'), paths.createCertificate);
  });
});
