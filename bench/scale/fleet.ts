import { create, fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Retry } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { systemClock } from '#platform/clock.ts';
import { callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { DELTA_STREAM } from '#platform/grpc/service-definitions.ts';
import { systemRandom } from '#platform/random.ts';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  ResourceSchema,
  WeftAnswerSchema,
} from '#proto/discovery_pb.js';
import { announcesMore } from '#protocol/xds/encode-response.ts';
import { bucketsIn, HeldNames } from '#protocol/xds/held-names.ts';
import { DIGESTS_METADATA } from '#protocol/xds/server-session.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';
import { type FleetOrder, type FleetReport, type FollowOrder, NOTING } from './fleet-messages.ts';

// A process of clients that follow everything: they read what is around the resources and leave the resources encoded, so that
// hundreds of them cost little beside the control plane that is measured. What they hold is the same for all: one of them notes it.

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>;
type Follower = { node: string; attempts: number; bytes: number; messages: number; largest: number; whole: Set<string> };

const RESPONSE = { resources: 2, typeUrl: 4, nonce: 5, weft: 1_000 } as const;
const TYPES = [AUTHORIZATION_TYPE, ADDRESS_TYPE];

/** Type → name → version. */
const held = new Map<string, Map<string, string>>();
const heldNames = new Map<string, HeldNames>();
const streams = new Set<Stream>();
let all = true;

process.on('message', (order: FleetOrder) => {
  if (order.kind === 'tell') all = order.all;
  else if (order.kind === 'leave') {
    const left = [...streams];
    streams.clear();
    for (const stream of left) stream.cancel();
  } else for (const { node, token } of order.clients) follow(order, node, token);
});

/** As an agent does: an attempt that gets no answer in time, or ends, is followed by another, later and later. */
function follow(order: FollowOrder, node: string, token: string): void {
  const follower: Follower = { node, attempts: 0, bytes: 0, messages: 0, largest: 0, whole: new Set() };
  const effects = { clock: systemClock, random: systemRandom };
  const begin = (): void => {
    follower.attempts += 1;
    attempt(order, follower, token, () => retry.failed()).catch((error: unknown) =>
      tell({ kind: 'ended', node, why: String(error) }),
    );
  };
  const retry = new Retry(effects, { firstMs: CONTROL.backoffFirstMs, maxMs: CONTROL.backoffMaxMs }, begin);
  begin();
}

async function attempt(
  { address, rootsPem, knowing }: FollowOrder,
  follower: Follower,
  token: string,
  failed: () => void,
): Promise<void> {
  const { node } = follower;
  const endpoint = {
    address,
    rootsPem: async () => rootsPem,
    token: async () => token,
    serverName: null,
    clusterId: 'Kubernetes',
  };
  const client = await openClient(endpoint);
  const stream: Stream = client.makeBidiStreamRequest(
    DELTA_STREAM.path,
    DELTA_STREAM.request.write,
    (bytes) => bytes,
    await callMetadata(endpoint),
  );
  const within = (ms: number) => systemClock.after(ms, () => stream.cancel());
  let cancelTimer = within(CONTROL.establishMsMax);
  follower.whole.clear();
  stream.on('data', (bytes: Uint8Array) => {
    cancelTimer();
    take(follower, stream, bytes);
    if (follower.whole.size < TYPES.length) cancelTimer = within(CONTROL.progressMsMax);
  });
  streams.add(stream);
  stream.on('error', () => {
    cancelTimer();
    client.close();
    if (streams.delete(stream)) failed();
  });
  const id = `ztunnel~10.0.0.1~${node}.istio-system~istio-system.svc.cluster.local`;
  for (const typeUrl of TYPES)
    stream.write(
      create(DeltaDiscoveryRequestSchema, {
        typeUrl,
        node: { id, metadata: { NAMESPACE: 'istio-system', NODE_NAME: node, [DIGESTS_METADATA]: 'true' } },
        weftHeldDigests: knowing ? namesOf(typeUrl).digests() : new Uint8Array(),
      }),
    );
}

function namesOf(typeUrl: string): HeldNames {
  const known = heldNames.get(typeUrl) ?? new HeldNames((name) => held.get(typeUrl)?.get(name) ?? '');
  heldNames.set(typeUrl, known);
  return known;
}

/** Notes the resources of a response; all clients are told the same, so one of them is enough. */
function note(typeUrl: string, resources: readonly Uint8Array[]): void {
  const versions = held.get(typeUrl) ?? new Map<string, string>();
  held.set(typeUrl, versions);
  for (const bytes of resources) {
    const { name, version } = fromBinary(ResourceSchema, bytes);
    versions.set(name, version);
    namesOf(typeUrl).hold(name);
  }
}

/** What is held in the buckets that a server asks for. */
function claimsOf(typeUrl: string, asked: readonly number[]): Record<string, string> {
  const names = namesOf(typeUrl);
  const buckets = { count: bucketsIn(names.digests()), buckets: new Set(asked) };
  return Object.fromEntries([...names.namesIn(buckets)].map((name) => [name, held.get(typeUrl)?.get(name) ?? '']));
}

function take(follower: Follower, stream: Stream, bytes: Uint8Array): void {
  const { node, whole } = follower;
  const { typeUrl, nonce, resources, asked } = envelopeOf(bytes);
  const initialResourceVersions = asked.length === 0 ? {} : claimsOf(typeUrl, asked);
  stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, initialResourceVersions }));
  if (node === NOTING) note(typeUrl, resources);
  const atMs = Date.now();
  if (whole.size === TYPES.length) {
    if (all || node === NOTING) tell({ kind: 'told', node, typeUrl, atMs, bytes: bytes.length });
    return;
  }
  follower.bytes += bytes.length;
  follower.messages += 1;
  follower.largest = Math.max(follower.largest, bytes.length);
  if (!announcesMore(nonce)) whole.add(typeUrl);
  const { attempts, messages, largest } = follower;
  if (whole.size === TYPES.length) tell({ kind: 'synced', node, attempts, bytes: follower.bytes, messages, largest, atMs });
}

type Envelope = { typeUrl: string; nonce: string; resources: Uint8Array[]; asked: readonly number[] };

function envelopeOf(bytes: Uint8Array): Envelope {
  const reader = new BinaryReader(bytes);
  const found: Envelope = { typeUrl: '', nonce: '', resources: [], asked: [] };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === RESPONSE.typeUrl) found.typeUrl = reader.string();
    else if (field === RESPONSE.nonce) found.nonce = reader.string();
    else if (field === RESPONSE.resources) found.resources.push(reader.bytes());
    else if (field === RESPONSE.weft) found.asked = fromBinary(WeftAnswerSchema, reader.bytes()).askedBuckets;
    else reader.skip(wireType, field);
  }
  return found;
}

function tell(report: FleetReport): void {
  process.send?.(report);
}
