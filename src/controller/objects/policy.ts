// AuthorizationPolicy and PeerAuthentication. Unlike core kinds these are strict: a misspelt field that is passed over
// leaves a policy that lets through what its author meant to stop.
import { z } from 'zod';
import { metadataSchema } from './metadata.ts';

const values = z.array(z.string().min(1)).min(1);
const list = values.optional();

/** `{ source: {} }` would match nobody in one reading and everybody in another. */
function notEmpty(value: object): boolean {
  return Object.values(value).some((field) => field !== undefined);
}

const source = z
  .strictObject({
    principals: list,
    notPrincipals: list,
    requestPrincipals: list,
    notRequestPrincipals: list,
    namespaces: list,
    notNamespaces: list,
    serviceAccounts: list,
    notServiceAccounts: list,
    ipBlocks: list,
    notIpBlocks: list,
    remoteIpBlocks: list,
    notRemoteIpBlocks: list,
  })
  .refine(notEmpty, 'must name at least one attribute of the source');

const operation = z
  .strictObject({
    hosts: list,
    notHosts: list,
    ports: list,
    notPorts: list,
    methods: list,
    notMethods: list,
    paths: list,
    notPaths: list,
  })
  .refine(notEmpty, 'must name at least one attribute of the operation');

const condition = z
  .strictObject({ key: z.string().min(1), values: list, notValues: list })
  .refine(
    (value) => value.values !== undefined || value.notValues !== undefined,
    'must have values or notValues',
  );

const rule = z.strictObject({
  from: z.array(z.strictObject({ source })).min(1).optional(),
  to: z.array(z.strictObject({ operation })).min(1).optional(),
  when: z.array(condition).min(1).optional(),
});

export const selectorSchema = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).default({}),
});

const targetRef = z.strictObject({
  group: z.string().default(''),
  kind: z.string(),
  name: z.string(),
  namespace: z.string().optional(),
});

export const authorizationPolicySchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal('AuthorizationPolicy'),
  metadata: metadataSchema,
  spec: z
    .strictObject({
      selector: selectorSchema.optional(),
      targetRef: targetRef.optional(),
      targetRefs: z.array(targetRef).default([]),
      action: z.enum(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']).default('ALLOW'),
      provider: z.strictObject({ name: z.string() }).optional(),
      rules: z.array(rule).default([]),
    })
    .refine(
      (spec) => spec.selector === undefined || (spec.targetRef === undefined && spec.targetRefs.length === 0),
      'selector and targetRefs exclude each other',
    )
    .default({ targetRefs: [], action: 'ALLOW', rules: [] }),
  status: z.unknown().optional(),
});

const mode = z.enum(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']).default('UNSET');
const mtls = z.strictObject({ mode });
const portKey = z
  .string()
  .refine((text) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65535, 'must be a port');

export const peerAuthenticationSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal('PeerAuthentication'),
  metadata: metadataSchema,
  spec: z
    .strictObject({
      selector: selectorSchema.optional(),
      mtls: mtls.optional(),
      portLevelMtls: z.record(portKey, mtls).default({}),
    })
    .refine(
      (spec) =>
        Object.keys(spec.portLevelMtls).length === 0 ||
        Object.keys(spec.selector?.matchLabels ?? {}).length > 0,
      { path: ['portLevelMtls'], message: 'needs a selector: ports differ from workload to workload' },
    )
    .default({ portLevelMtls: {} }),
  status: z.unknown().optional(),
});

export type PolicyRuleSpec = z.infer<typeof rule>;
export type SourceSpec = z.infer<typeof source>;
export type OperationSpec = z.infer<typeof operation>;
export type ConditionSpec = z.infer<typeof condition>;
export type MtlsMode = z.infer<typeof mode>;
