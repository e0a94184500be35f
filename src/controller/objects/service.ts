import { z } from 'zod';
import { metadataSchema, portNumber, portOrName } from './metadata.ts';

const protocol = z.enum(['TCP', 'UDP', 'SCTP']).default('TCP');

const servicePort = z.object({
  name: z.string().default(''),
  port: portNumber,
  targetPort: portOrName.optional(),
  protocol,
  appProtocol: z.string().optional(),
});

export const serviceSchema = z.object({
  kind: z.literal('Service'),
  metadata: metadataSchema,
  spec: z.object({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).default('ClusterIP'),
    clusterIP: z.string().optional(),
    clusterIPs: z.array(z.string()).default([]),
    selector: z.record(z.string(), z.string()).default({}),
    ports: z.array(servicePort).default([]),
    publishNotReadyAddresses: z.boolean().default(false),
    internalTrafficPolicy: z.enum(['Cluster', 'Local']).default('Cluster'),
    trafficDistribution: z.enum(['PreferClose', 'PreferSameZone', 'PreferSameNode']).optional(),
    sessionAffinity: z.enum(['None', 'ClientIP']).default('None'),
    sessionAffinityConfig: z
      .object({ clientIP: z.object({ timeoutSeconds: z.int().min(1).max(86_400).optional() }).optional() })
      .optional(),
  }),
});

const endpoint = z.object({
  addresses: z.array(z.string()).min(1),
  conditions: z.object({ ready: z.boolean().optional() }).default({}),
  nodeName: z.string().optional(),
  zone: z.string().optional(),
  targetRef: z
    .object({ kind: z.string().default(''), namespace: z.string().optional(), name: z.string().default('') })
    .optional(),
});

export const endpointSliceSchema = z.object({
  kind: z.literal('EndpointSlice'),
  metadata: metadataSchema,
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
  endpoints: z.array(endpoint).default([]),
  ports: z
    .array(z.object({ name: z.string().default(''), port: portNumber.optional(), protocol }))
    .default([]),
});

export type ServicePortSpec = z.infer<typeof servicePort>;
export type EndpointSpec = z.infer<typeof endpoint>;
