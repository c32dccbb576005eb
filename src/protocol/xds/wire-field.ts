import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

const NO_BYTES = new Uint8Array();

/** The bytes of one length-delimited field of our own encoding; empty when absent. */
export function fieldOf(message: Uint8Array, number: number): Uint8Array {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [at, wireType] = reader.tag();
    if (at === number && wireType === WireType.LengthDelimited) return reader.bytes();
    reader.skip(wireType, at);
  }
  return NO_BYTES;
}
