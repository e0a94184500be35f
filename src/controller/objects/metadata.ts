// What every Kubernetes object has. Names are checked: they become parts of resource names on the wire.
import { z } from 'zod';
import type { ObjectRef, Origin } from '../problem.ts';

export const nameText = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/,
    'must consist of a-z, 0-9, - and ., starting and ending with a letter or digit',
  );

const namespaceText = z
  .string()
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'must consist of a-z, 0-9 and -, starting and ending with a letter or digit',
  );

const textMap = z.record(z.string(), z.string());

/** Enough of an object to say which one it is, even where the rest cannot be understood, its name included. */
export const identitySchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string().min(1), namespace: z.string().min(1).optional() }),
});

export const metadataSchema = z.object({
  name: nameText,
  namespace: namespaceText.default('default'),
  uid: z.string().optional(),
  labels: textMap.default({}),
  annotations: textMap.default({}),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  ownerReferences: z
    .array(
      z.object({
        apiVersion: z.string().default(''),
        kind: z.string(),
        name: z.string(),
        controller: z.boolean().default(false),
      }),
    )
    .default([]),
});

export type Metadata = z.infer<typeof metadataSchema>;

/** For kinds without a namespace. */
export const clusterMetadataSchema = metadataSchema.extend({ namespace: z.string().default('') });

/** A port number, or the name of a container's port. */
export const portOrName = z.union([z.int().min(1).max(65535), z.string().min(1)], {
  error: 'must be a port number (1 to 65535) or the name of a port',
});

export const portNumber = z.int().min(1).max(65535);

/** Any object that was read, as far as all of them are alike. */
export interface AnyObject {
  readonly kind: string;
  readonly metadata: Metadata;
  readonly origin?: Origin | undefined;
}

/** Which object this is, for messages. */
export function refOf(object: AnyObject): ObjectRef {
  return { kind: object.kind, namespace: object.metadata.namespace, name: object.metadata.name };
}
