// A DeltaDiscoveryResponse straight to bytes: resources are encoded already, and many streams are sent the same.
// Field numbers as in protos/envoy/service/discovery/v3/discovery.proto.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { DeltaPush } from './delta.ts';
import type { NamedResource } from './difference.ts';

/** By the list of resources, which equal steps share. */
const bodies = new WeakMap<readonly NamedResource[], Map<string, Uint8Array>>();

export function encodeResponse(typeUrl: string, push: DeltaPush): Buffer {
  const envelope = new BinaryWriter();
  envelope.tag(4, WireType.LengthDelimited).string(typeUrl);
  envelope.tag(5, WireType.LengthDelimited).string(push.nonce);
  for (const name of push.removed) envelope.tag(6, WireType.LengthDelimited).string(name);
  return Buffer.concat([encodeResources(typeUrl, push.changed), envelope.finish()]);
}

function encodeResources(typeUrl: string, changed: readonly NamedResource[]): Uint8Array {
  let byType = bodies.get(changed);
  if (byType === undefined) bodies.set(changed, (byType = new Map<string, Uint8Array>()));
  let body = byType.get(typeUrl);
  if (body === undefined) {
    const writer = new BinaryWriter();
    for (const entry of changed) {
      writer.tag(2, WireType.LengthDelimited).fork();
      writeResource(writer, typeUrl, entry);
      writer.join();
    }
    byType.set(typeUrl, (body = writer.finish()));
  }
  return body;
}

function writeResource(writer: BinaryWriter, typeUrl: string, { name, resource }: NamedResource): void {
  writer.tag(1, WireType.LengthDelimited).string(resource.version);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(typeUrl);
  writer.tag(2, WireType.LengthDelimited).bytes(resource.bytes);
  writer.join();
  writer.tag(3, WireType.LengthDelimited).string(name);
  for (const alias of resource.aliases) writer.tag(4, WireType.LengthDelimited).string(alias);
}
