// CreateCertificate on the server: who calls is known, the signer decides what it may have.
import type { Metadata, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { CulvertError, messageOf } from '../runtime/errors.ts';
import type { Logger, RateLimitedLog } from '../runtime/logger.ts';
import type { Authentication, Refusal } from './authentication.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from './generated/istio/v1/auth/ca_pb.ts';
import { IstioCertificateResponseSchema } from './generated/istio/v1/auth/ca_pb.ts';
import type { XdsServerStats } from './statistics.ts';
import type { CertificateSigner } from './types.ts';

export interface CertificateServiceContext {
  /** Of a call that may have been asked about before. */
  readonly authenticationOf: (metadata: Metadata) => Promise<Authentication>;
  readonly signer: CertificateSigner;
  readonly stats: XdsServerStats;
  readonly logger: Logger;
  readonly rateLimit: RateLimitedLog;
  /** Requests worked on at once. */
  readonly concurrencyMax: number;
}

type Call = ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>;

/** By code of the error that a signer throws; others are INTERNAL. */
const refusals: Readonly<Record<string, status>> = {
  ERR_CULVERT_CSR: status.INVALID_ARGUMENT,
  ERR_CULVERT_CA_REQUEST: status.INVALID_ARGUMENT,
  ERR_CULVERT_CA_DENIED: status.PERMISSION_DENIED,
  ERR_CULVERT_CA_UNAVAILABLE: status.UNAVAILABLE,
};

/** The handler of CreateCertificate. */
export function certificateHandler(
  context: CertificateServiceContext,
): (call: Call, reply: sendUnaryData<IstioCertificateResponse>) => void {
  let running = 0;
  return (call, reply) => {
    if (running >= context.concurrencyMax) {
      context.stats.refusedLimit += 1;
      reply({ code: status.RESOURCE_EXHAUSTED, details: 'too many certificates are being signed' });
      return;
    }
    running += 1;
    void answer(call, context)
      .then((outcome) => (outcome.kind === 'chain' ? reply(null, outcome.response) : reply(outcome.refusal)))
      .finally(() => (running -= 1));
  };
}

type Outcome =
  | { readonly kind: 'chain'; readonly response: IstioCertificateResponse }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Never rejects. */
async function answer(call: Call, context: CertificateServiceContext): Promise<Outcome> {
  const { signer, stats } = context;
  const authentication = await context.authenticationOf(call.metadata);
  if (authentication.kind === 'refused') return authentication;
  const { caller } = authentication;
  const { csr, validityDuration, metadata } = call.request;
  const impersonatedIdentity = metadata?.['ImpersonatedIdentity'];
  try {
    const certChain = await signer.sign({
      caller,
      csrPem: csr,
      validityMs: Math.max(0, Number(validityDuration) * 1000),
      ...(typeof impersonatedIdentity === 'string' && { impersonatedIdentity }),
    });
    stats.certificatesIssued += 1;
    const response = create(IstioCertificateResponseSchema, { certChain: [...certChain] });
    return { kind: 'chain', response };
  } catch (error) {
    stats.certificatesRefused += 1;
    context.rateLimit.try(`certificate ${caller.name}`, (suppressed) =>
      context.logger.warn('a certificate was refused', {
        client: caller.name,
        reason: messageOf(error),
        suppressed,
      }),
    );
    const code = (error instanceof CulvertError ? refusals[error.code] : undefined) ?? status.INTERNAL;
    const details = code === status.INTERNAL ? 'the certificate could not be signed' : messageOf(error);
    return { kind: 'refused', refusal: { code, details } };
  }
}
