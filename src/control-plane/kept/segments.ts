import { deserialize, serialize } from 'node:v8';
import type { KeptBlock } from '#protocol/xds/resource-block.ts';

// What is kept for a quick start, in pieces of some hundred KiB: a change writes those that it touches. They are read by nobody but
// the same build of Weft, and checked to be what was written, so their form is that of values in memory.

/** A piece of what is served. */
export type ServedSegment = { table: TableName; blocks: readonly KeptBlock[] };

/** What a resource store is divided into. */
export type TableName = 'addresses' | 'policies' | 'waypoints';

/** Blocks of one table, as they are sent. */
export function encodeServed(segment: ServedSegment): Buffer {
  return serialize(segment);
}

/** Errors: Error when it is no such piece. */
export function decodeServed(bytes: Buffer): ServedSegment {
  return deserialize(bytes);
}

/** What a source made of a part of its content. */
export function encodeValues(values: readonly object[]): Buffer {
  return serialize(values);
}

/** Errors: Error when it is no such piece. */
export function decodeValues(bytes: Buffer): object[] {
  return deserialize(bytes);
}
