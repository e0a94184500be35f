// Namespace, Node and ServiceAccount. Fields that nothing here reads are not looked at.
import { z } from 'zod';
import { clusterMetadataSchema, metadataSchema } from './metadata.ts';

export const namespaceSchema = z.object({
  kind: z.literal('Namespace'),
  metadata: clusterMetadataSchema,
});

export const nodeSchema = z.object({
  kind: z.literal('Node'),
  metadata: clusterMetadataSchema,
  status: z
    .object({
      addresses: z
        .array(
          z.object({
            type: z.enum(['InternalIP', 'ExternalIP', 'InternalDNS', 'ExternalDNS', 'Hostname']),
            address: z.string(),
          }),
        )
        .default([]),
    })
    .default({ addresses: [] }),
});

export const serviceAccountSchema = z.object({
  kind: z.literal('ServiceAccount'),
  metadata: metadataSchema,
});
