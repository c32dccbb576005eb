import { deserialize, serialize } from 'node:v8';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';

// What is kept for a quick start, in pieces of some hundred KiB: a change writes those that it touches. They are read by nobody but
// the same build of Weft, and checked to be what was written, so their form is that of values in memory.

/** A piece of what is served. */
export type ServedSegment = { table: TableName; resources: readonly EncodedResource[] };

/** What a resource store is divided into. */
export type TableName = 'addresses' | 'policies' | 'waypoints';

type ServedForm = {
  table: TableName;
  fields: Omit<EncodedResource, 'wire'>[];
  lengths: number[];
  wires: Uint8Array;
};

/** Resources of one table, their bytes one behind the other. */
export function encodeServed({ table, resources }: ServedSegment): Buffer {
  const fields = resources.map(({ wire: _, ...rest }) => rest);
  const wires = Buffer.concat(resources.map(({ wire }) => wire));
  return serialize({ table, fields, lengths: resources.map(({ wire }) => wire.length), wires } satisfies ServedForm);
}

/** Errors: Error when it is no such piece. */
export function decodeServed(bytes: Buffer): ServedSegment {
  const { table, fields, lengths, wires }: ServedForm = deserialize(bytes);
  let at = 0;
  const resources = fields.map((rest, index): EncodedResource => {
    const wire = wires.subarray(at, at + (lengths[index] ?? 0));
    at += wire.length;
    return { ...rest, wire };
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
