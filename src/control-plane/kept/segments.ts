import { deserialize, serialize } from 'node:v8';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { StoredResource } from '#protocol/xds/stored-resource.ts';

// What is kept for a quick start, in pieces of some hundred KiB: a change writes those that it touches. They are read by nobody but
// the same build of Weft, and checked to be what was written, so their form is that of values in memory.

/** A piece of what is served. */
export type ServedSegment = { table: TableName; resources: readonly EncodedResource[] };

/** What a resource store is divided into. */
export type TableName = 'addresses' | 'policies' | 'waypoints';

type ServedForm = { table: TableName; lengths: Uint32Array; wires: Uint8Array };

/** Resources of one table, their bytes one behind the other. */
export function encodeServed({ table, resources }: ServedSegment): Buffer {
  const wires = Buffer.concat(resources.map(({ wire }) => wire));
  const lengths = Uint32Array.from(resources, ({ wire }) => wire.length);
  return serialize({ table, lengths, wires } satisfies ServedForm);
}

/** Errors: Error when it is no such piece. */
export function decodeServed(bytes: Buffer): ServedSegment {
  const { table, lengths, wires }: ServedForm = deserialize(bytes);
  let at = 0;
  const resources = Array.from(lengths, (length): EncodedResource => {
    at += length;
    return new StoredResource(wires.subarray(at - length, at));
  });
  return { table, resources };
}

/** What a source made of a part of its content. */
export function encodeValues(values: readonly object[]): Buffer {
  return serialize(values);
}

/** Errors: Error when it is no such piece. */
export function decodeValues(bytes: Buffer): object[] {
  return deserialize(bytes);
}
