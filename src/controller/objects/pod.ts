import { z } from 'zod';
import { metadataSchema, nameText, portNumber, portOrName } from './metadata.ts';

const httpGet = z.object({ port: portOrName, host: z.string().optional() });
const tcpSocket = z.object({ port: portOrName, host: z.string().optional() });

const probe = z.object({
  httpGet: httpGet.optional(),
  tcpSocket: tcpSocket.optional(),
  grpc: z.object({ port: portNumber }).optional(),
});

const hook = z.object({ httpGet: httpGet.optional(), tcpSocket: tcpSocket.optional() });

const container = z.object({
  name: z.string(),
  restartPolicy: z.string().optional(),
  ports: z
    .array(
      z.object({
        name: z.string().optional(),
        containerPort: portNumber,
        protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP'),
      }),
    )
    .default([]),
  readinessProbe: probe.optional(),
  livenessProbe: probe.optional(),
  startupProbe: probe.optional(),
  lifecycle: z.object({ postStart: hook.optional(), preStop: hook.optional() }).optional(),
});

const address = z.object({ ip: z.string() });

export const podSchema = z.object({
  kind: z.literal('Pod'),
  metadata: metadataSchema,
  spec: z.object({
    nodeName: z.string().default(''),
    serviceAccountName: nameText.default('default'),
    hostNetwork: z.boolean().default(false),
    containers: z.array(container).default([]),
    initContainers: z.array(container).default([]),
  }),
  status: z
    .object({
      phase: z.enum(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']).default('Pending'),
      conditions: z
        .array(z.object({ type: z.string(), status: z.enum(['True', 'False', 'Unknown']) }))
        .default([]),
      podIP: z.string().optional(),
      podIPs: z.array(address).default([]),
      hostIP: z.string().optional(),
      hostIPs: z.array(address).default([]),
    })
    .default({ phase: 'Pending', conditions: [], podIPs: [], hostIPs: [] }),
});

export type Container = z.infer<typeof container>;
export type Probe = z.infer<typeof probe>;
