// How a client introduces itself, in the form that ambient control planes expect of a ztunnel or waypoint.
import type { JsonObject } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { Node } from './generated/envoy/config/core/v3/base_pb.ts';
import { NodeSchema } from './generated/envoy/config/core/v3/base_pb.ts';

export interface NodeDescription {
  readonly kind: 'ztunnel' | 'waypoint';
  /** Of the pod; `1.1.1.1` where there is none. */
  readonly ip?: string;
  readonly podName: string;
  readonly namespace: string;
  readonly nodeName: string;
  readonly metadata?: JsonObject;
}

export function describeNode(node: NodeDescription): Node {
  const ip = node.ip ?? '1.1.1.1';
  return create(NodeSchema, {
    id: `${node.kind}~${ip}~${node.podName}.${node.namespace}~${node.namespace}.svc.cluster.local`,
    metadata: {
      NAME: node.podName,
      NAMESPACE: node.namespace,
      INSTANCE_IPS: ip,
      NODE_NAME: node.nodeName,
      ...node.metadata,
    },
    userAgentName: 'culvert',
  });
}
