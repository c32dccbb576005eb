import assert from 'node:assert/strict';
import test from 'node:test';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { fieldOf } from '#protocol/xds/wire-field.ts';

type Written = { number: number; value: Uint8Array | number | bigint; wide: boolean };

/** As protobuf-es writes it: what `fieldOf` has to read. */
function written(fields: readonly Written[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const { number, value, wide } of fields) {
    if (value instanceof Uint8Array) writer.tag(number, WireType.LengthDelimited).bytes(value);
    else if (typeof value === 'bigint') writer.tag(number, WireType.Varint).uint64(value);
    else if (wide) writer.tag(number, WireType.Bit64).double(value);
    else writer.tag(number, WireType.Bit32).fixed32(value);
  }
  return writer.finish();
}

const field = fc.record({
  number: fc.integer({ min: 1, max: 2_000 }),
  value: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  wide: fc.boolean(),
});

test('a field of bytes is found among fields of every kind; absent or of another kind it is empty', () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 12 }), fc.nat({ max: 11 }), (fields, at) => {
      const number = fields[at]?.number ?? 7;
      const first = fields.find((one) => one.number === number && one.value instanceof Uint8Array);
      const expected = first?.value instanceof Uint8Array ? [...first.value] : [];
      assert.deepEqual([...fieldOf(written(fields), number)], expected);
    }),
    { numRuns: 1_000 },
  );
});
