// Paths and message formats of the two services, for both ends. grpc-js is given plain functions: no code
// generated for a gRPC runtime is needed.
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from './generated/envoy/service/discovery/v3/discovery_pb.ts';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from './generated/istio/v1/auth/ca_pb.ts';

export const paths = {
  delta: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  createCertificate: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
} as const;

/**
 * Bytes of one message, on both ends: istiod and ztunnel use the same for what is sent to nodes. What a node sends is a
 * list of names at most, 100 000 of them.
 */
export const messageBytesMax = { toServer: 16 * 2 ** 20, toClient: 200 * 2 ** 20 } as const;

export const deltaRequest = codec(DeltaDiscoveryRequestSchema);
export const deltaResponse = codec(DeltaDiscoveryResponseSchema);
export const certificateRequest = codec(IstioCertificateRequestSchema);
export const certificateResponse = codec(IstioCertificateResponseSchema);

function codec<Desc extends DescMessage>(
  schema: Desc,
): {
  readonly serialize: (message: MessageShape<Desc>) => Buffer;
  readonly deserialize: (bytes: Buffer) => MessageShape<Desc>;
} {
  return {
    serialize(message) {
      const bytes = toBinary(schema, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    deserialize: (bytes) => fromBinary(schema, bytes),
  };
}
