import { gunzipSync } from 'node:zlib';
import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { ETCD } from '#model/settings/etcd.ts';
import { type KeyValue, RangeRequestSchema } from '#proto/etcd_pb.js';
import { codeOf, type EtcdConnection } from './connection.ts';
import { RANGE } from './methods.ts';

/** What lies below a prefix: name without the prefix → text, all as of one revision. */
export type Listing = { entries: Map<string, string>; revision: bigint };

/** Reads everything below a prefix, a page at a time. Errors: WEFT_ETCD. */
export async function listKeys(connection: EtcdConnection, prefix: string): Promise<Listing> {
  for (;;) {
    const listing = await listOnce(connection, prefix);
    // What was begun at a revision that is now forgotten is begun again.
    if (listing !== null) return listing;
  }
}

async function listOnce(connection: EtcdConnection, prefix: string): Promise<Listing | null> {
  const entries = new Map<string, string>();
  let revision = 0n;
  let limit: number = ETCD.listPageMax;
  let key: Uint8Array = Buffer.from(prefix);
  for (;;) {
    const request = create(RangeRequestSchema, { key, rangeEnd: endOf(prefix), limit: BigInt(limit), revision });
    try {
      const { kvs, more, header } = await connection.call(RANGE, request);
      if (revision === 0n) revision = header?.revision ?? 0n;
      for (const entry of kvs) entries.set(nameOf(entry, prefix), textOf(entry));
      const last = kvs.at(-1);
      if (!more || last === undefined) return { entries, revision };
      key = Buffer.concat([last.key, Buffer.of(0)]);
    } catch (error) {
      if (codeOf(error) === status.OUT_OF_RANGE && revision !== 0n) return null;
      if (codeOf(error) !== status.RESOURCE_EXHAUSTED || limit === 1) throw error;
      limit = Math.max(1, Math.floor(limit / 4));
    }
  }
}

/** The first key behind all that begin with `prefix`. */
export function endOf(prefix: string): Uint8Array {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1; // prefixes end in a letter or a slash, never in 255
  return end;
}

/** Name of a key below its prefix. */
export function nameOf({ key }: Pick<KeyValue, 'key'>, prefix: string): string {
  return Buffer.from(key).toString('utf8').slice(prefix.length);
}

/** Fixed by gzip: how it begins. No text that we write begins so. */
const [GZIP_FIRST, GZIP_SECOND] = [0x1f, 0x8b];

/** What a key holds, unpacked; '' of what is no text and cannot be unpacked. */
export function textOf({ value }: Pick<KeyValue, 'value'>): string {
  if (value[0] !== GZIP_FIRST || value[1] !== GZIP_SECOND) return Buffer.from(value).toString('utf8');
  try {
    return gunzipSync(value, { maxOutputLength: ETCD.unpackedBytesMax }).toString('utf8');
  } catch {
    return ''; // whoever reads it says that it cannot be understood
  }
}
