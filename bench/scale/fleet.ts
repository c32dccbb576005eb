import { create } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { DELTA_STREAM } from '#platform/grpc/service-definitions.ts';
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema } from '#proto/discovery_pb.js';
import { announcesMore } from '#protocol/xds/encode-response.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';

// A process of clients that follow everything: they read what is around the resources and leave the resources encoded, so that
// hundreds of them cost little beside the control plane that is measured.

/** What the bench tells a fleet. */
export type FleetOrder = {
  kind: 'follow';
  address: string;
  rootsPem: string;
  clients: readonly { node: string; token: string }[];
};

/** What a fleet tells the bench: that a client has everything, and each message after that. */
export type FleetReport =
  | { kind: 'synced'; node: string; bytes: number; messages: number; largest: number; atMs: number }
  | { kind: 'told'; node: string; typeUrl: string; atMs: number; bytes: number }
  | { kind: 'ended'; node: string; why: string };

type Follower = { node: string; bytes: number; messages: number; largest: number; whole: Set<string> };

const RESPONSE = { typeUrl: 4, nonce: 5 } as const;

process.on('message', (order: FleetOrder) => {
  for (const { node, token } of order.clients)
    follow(order, node, token).catch((error: unknown) => tell({ kind: 'ended', node, why: String(error) }));
});

async function follow({ address, rootsPem }: FleetOrder, node: string, token: string): Promise<void> {
  const endpoint = {
    address,
    rootsPem: async () => rootsPem,
    token: async () => token,
    serverName: null,
    clusterId: 'Kubernetes',
  };
  const client = await openClient(endpoint);
  const stream: ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array> = client.makeBidiStreamRequest(
    DELTA_STREAM.path,
    DELTA_STREAM.request.write,
    (bytes) => bytes,
    await callMetadata(endpoint),
  );
  const follower: Follower = { node, bytes: 0, messages: 0, largest: 0, whole: new Set() };
  stream.on('data', (bytes: Uint8Array) => take(follower, stream, bytes));
  stream.on('error', (error) => tell({ kind: 'ended', node, why: error.message }));
  const id = `ztunnel~10.0.0.1~${node}.istio-system~istio-system.svc.cluster.local`;
  for (const typeUrl of [AUTHORIZATION_TYPE, ADDRESS_TYPE])
    stream.write(
      create(DeltaDiscoveryRequestSchema, { typeUrl, node: { id, metadata: { NAMESPACE: 'istio-system', NODE_NAME: node } } }),
    );
}

function take(follower: Follower, stream: ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>, bytes: Uint8Array): void {
  const { node, whole } = follower;
  const { typeUrl, nonce } = envelopeOf(bytes);
  stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce }));
  const atMs = Date.now();
  if (whole.size === 2) {
    tell({ kind: 'told', node, typeUrl, atMs, bytes: bytes.length });
    return;
  }
  follower.bytes += bytes.length;
  follower.messages += 1;
  follower.largest = Math.max(follower.largest, bytes.length);
  if (!announcesMore(nonce)) whole.add(typeUrl);
  const { messages, largest } = follower;
  if (whole.size === 2) tell({ kind: 'synced', node, bytes: follower.bytes, messages, largest, atMs });
}

function envelopeOf(bytes: Uint8Array): { typeUrl: string; nonce: string } {
  const reader = new BinaryReader(bytes);
  const found = { typeUrl: '', nonce: '' };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === RESPONSE.typeUrl) found.typeUrl = reader.string();
    else if (field === RESPONSE.nonce) found.nonce = reader.string();
    else if (wireType === WireType.LengthDelimited) reader.bytes();
    else reader.skip(wireType, field);
    if (found.typeUrl !== '' && found.nonce !== '') break;
  }
  return found;
}

function tell(report: FleetReport): void {
  process.send?.(report);
}
