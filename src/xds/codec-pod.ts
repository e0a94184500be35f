// Settings of a node's own pods, as the mesh keeps them and as culvert.node.Pod carries them.
import { create } from '@bufbuild/protobuf';
import type { Cidr } from '../mesh/address.ts';
import type { PodSettings } from '../mesh/pod-settings.ts';
import { decodeCidr, decodeIp, encodeIp } from './codec-address.ts';
import { portValue } from './decoded.ts';
import { FieldError } from './errors.ts';
import type * as wire from './generated/culvert/node/pod_pb.ts';
import { BlockSchema, ExclusionsSchema, PodSchema } from './generated/culvert/node/pod_pb.ts';

/** Throws FieldError for what cannot be understood. */
export function decodePod(message: wire.Pod): PodSettings {
  if (message.uid === '') throw new FieldError('uid', 'is empty');
  const { exclusions } = message;
  return {
    uid: message.uid,
    namespace: message.namespace,
    name: message.name,
    serviceAccount: message.serviceAccount || 'default',
    trustDomain: message.trustDomain || 'cluster.local',
    enrolled: message.enrolled,
    probePorts: decodePorts('probe_ports', message.probePorts),
    nodeAddresses: message.nodeAddresses.map((bytes) => decodeIp('node_addresses', bytes)),
    exclusions: {
      inboundPorts: decodePorts('exclusions.inbound_ports', exclusions?.inboundPorts),
      outboundPorts: decodePorts('exclusions.outbound_ports', exclusions?.outboundPorts),
      inboundCidrs: decodeBlocks('exclusions.inbound_blocks', exclusions?.inboundBlocks),
      outboundCidrs: decodeBlocks('exclusions.outbound_blocks', exclusions?.outboundBlocks),
    },
  };
}

function decodePorts(field: string, ports: readonly number[] = []): number[] {
  return ports.map((port) => portValue(field, port));
}

function decodeBlocks(field: string, blocks: readonly wire.Block[] = []): Cidr[] {
  return blocks.map((block) => decodeCidr(field, block.address, block.length));
}

export function encodePod(pod: PodSettings): wire.Pod {
  const { exclusions } = pod;
  return create(PodSchema, {
    uid: pod.uid,
    namespace: pod.namespace,
    name: pod.name,
    serviceAccount: pod.serviceAccount,
    trustDomain: pod.trustDomain,
    enrolled: pod.enrolled,
    probePorts: [...pod.probePorts],
    nodeAddresses: pod.nodeAddresses.map(encodeIp),
    exclusions: create(ExclusionsSchema, {
      inboundPorts: [...exclusions.inboundPorts],
      outboundPorts: [...exclusions.outboundPorts],
      inboundBlocks: encodeBlocks(exclusions.inboundCidrs),
      outboundBlocks: encodeBlocks(exclusions.outboundCidrs),
    }),
  });
}

function encodeBlocks(blocks: readonly Cidr[]): wire.Block[] {
  return blocks.map((block) =>
    create(BlockSchema, { address: encodeIp(block.address), length: block.length }),
  );
}
