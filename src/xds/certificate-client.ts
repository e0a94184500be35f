// CreateCertificate, as a node calls it. One connection serves all calls and reconnects by itself.
import type { Client, ServiceError } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import type { ChannelOptions } from './channel.ts';
import { callMetadata, openChannel } from './channel.ts';
import { XdsError } from './errors.ts';
import type { IstioCertificateResponse } from './generated/istio/v1/auth/ca_pb.ts';
import { IstioCertificateRequestSchema } from './generated/istio/v1/auth/ca_pb.ts';
import { certificateRequest, certificateResponse, paths } from './grpc-methods.ts';

export interface CertificateRequestOptions {
  readonly validityMs: number;
  /** The SPIFFE id asked for, where the caller asks on behalf of a workload. */
  readonly impersonatedIdentity?: string;
  readonly signal?: AbortSignal;
}

const deadlineMs = 15_000;

export class CertificateClient {
  readonly #options: ChannelOptions;
  #channel: Promise<Client> | undefined;
  #closed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** The chain: leaf first, root or roots last. Rejects with ERR_CULVERT_CERTIFICATE_REQUEST. */
  async requestCertificate(csrPem: string, request: CertificateRequestOptions): Promise<readonly string[]> {
    request.signal?.throwIfAborted();
    if (this.#closed)
      throw new XdsError('ERR_CULVERT_CERTIFICATE_REQUEST', 'the certificate client is closed');
    const metadata = await callMetadata(this.#options);
    const client = await this.#connect();
    const { impersonatedIdentity, signal } = request;
    const message = create(IstioCertificateRequestSchema, {
      csr: csrPem,
      validityDuration: BigInt(Math.ceil(request.validityMs / 1000)),
      ...(impersonatedIdentity !== undefined && { metadata: { ImpersonatedIdentity: impersonatedIdentity } }),
    });
    const { promise, resolve, reject } = Promise.withResolvers<IstioCertificateResponse>();
    const call = client.makeUnaryRequest(
      paths.createCertificate,
      certificateRequest.serialize,
      certificateResponse.deserialize,
      message,
      metadata,
      { deadline: Date.now() + deadlineMs },
      (error, response) => {
        if (error !== null) reject(this.#failed(error));
        else if (response !== undefined) resolve(response);
      },
    );
    const cancel = (): void => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
    try {
      return (await promise).certChain;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  #connect(): Promise<Client> {
    if (this.#channel === undefined) {
      const channel = openChannel(this.#options);
      this.#channel = channel;
      channel.catch(() => this.#disconnect());
    }
    return this.#channel;
  }

  /** After a failure to connect, roots are read again. */
  #failed(error: ServiceError): XdsError {
    if (error.code === status.UNAVAILABLE) this.#disconnect();
    const name = status[error.code];
    return new XdsError(
      'ERR_CULVERT_CERTIFICATE_REQUEST',
      `the certificate service: ${name}: ${error.details}`,
      {
        cause: error,
      },
    );
  }

  #disconnect(): void {
    const channel = this.#channel;
    this.#channel = undefined;
    // A channel that could not be opened has nothing to close; its failure was reported by the call.
    channel?.then(
      (client) => client.close(),
      () => undefined,
    );
  }
}
