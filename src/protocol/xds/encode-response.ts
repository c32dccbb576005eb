import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import type { TypeUrl } from '#protocol/xds/type-urls.ts';

/** A DeltaDiscoveryResponse whose resources are serialized already. */
export type DeltaResponse = {
  typeUrl: TypeUrl;
  nonce: string;
  systemVersion: string;
  resources: readonly EncodedResource[];
  removed: readonly string[];
  /** `resources` as they lie in a response, made once for all clients; null: to be made of `resources`. */
  framed: Buffer | null;
  /** On-demand clients learn the other names of what they asked for. */
  withAliases: boolean;
  /** To clients of our own: that digests are read, and the buckets in which they differ; null: to others, or told before. */
  askedBuckets: ReadonlySet<number> | null;
};

// Field numbers of envoy.service.discovery.v3.DeltaDiscoveryResponse and Resource.
const RESPONSE = { systemVersion: 1, resources: 2, typeUrl: 4, nonce: 5, removed: 6, weft: 1_000 } as const;
/** Fields of WeftAnswer. */
const WEFT = { readsDigests: 1, askedBuckets: 2 } as const;
const RESOURCE_ALIASES = 4;

/** The bytes of a DeltaDiscoveryResponse, one part behind the other. What was made ready for all clients is not copied. */
export function encodeResponse(response: DeltaResponse): Buffer[] {
  const head = new BinaryWriter();
  if (response.systemVersion !== '') head.tag(RESPONSE.systemVersion, WireType.LengthDelimited).string(response.systemVersion);
  head.tag(RESPONSE.typeUrl, WireType.LengthDelimited).string(response.typeUrl);
  head.tag(RESPONSE.nonce, WireType.LengthDelimited).string(response.nonce);
  for (const name of response.removed) head.tag(RESPONSE.removed, WireType.LengthDelimited).string(name);
  if (response.askedBuckets !== null) writeAnswer(head, response.askedBuckets);
  const { resources } = response;
  const body = response.framed ?? framed(response.withAliases ? resources.map(withAliases) : resources.map(({ wire }) => wire));
  return [Buffer.from(head.finish()), body];
}

function writeAnswer(head: BinaryWriter, askedBuckets: ReadonlySet<number>): void {
  const answer = head.tag(RESPONSE.weft, WireType.LengthDelimited).fork();
  answer.tag(WEFT.readsDigests, WireType.Varint).bool(true);
  if (askedBuckets.size > 0) {
    const packed = answer.tag(WEFT.askedBuckets, WireType.LengthDelimited).fork();
    for (const bucket of askedBuckets) packed.uint32(bucket);
    packed.join();
  }
  answer.join();
}

/** Encoded resources one behind the other, each with the tag and length that it has in a response. */
export function framed(bodies: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(bodies.reduce((sum, body) => sum + framedLength(body.length), 0));
  let at = 0;
  for (const body of bodies) {
    bytes[at] = (RESPONSE.resources << 3) | WireType.LengthDelimited;
    at = writeVarint(bytes, at + 1, body.length);
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}

/** How many bytes a resource of `length` takes in a response. */
export function framedLength(length: number): number {
  let bytes = 2 + length;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}

function withAliases(resource: EncodedResource): Uint8Array {
  const writer = new BinaryWriter().raw(resource.wire);
  for (const alias of resource.aliases) writer.tag(RESOURCE_ALIASES, WireType.LengthDelimited).string(alias);
  return writer.finish();
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/**
 * Ends the nonce of a response that is a part of an answer and not its last. Clients of others acknowledge it like any nonce;
 * ours know by it that they do not know everything yet.
 */
const MORE = '+more';

/** The nonce of a response; `more`: the answer goes on in the next one. */
export function nonceOf(unique: string, more: boolean): string {
  return more ? `${unique}${MORE}` : unique;
}

/** Whether the answer that a response is part of goes on in a later one. */
export function announcesMore(nonce: string): boolean {
  return nonce.endsWith(MORE);
}
