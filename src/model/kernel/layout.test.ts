import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '#model/address/ip.ts';
import { chars, ip, struct, u8, u16, u32, u64 } from './layout.ts';

const SAMPLE = struct('sample', { first: u64, where: ip, port: u16, kind: u8, pad0: u8, count: u32, name: chars(12) });

test('fields stand one after the other, names in the C way', () => {
  assert.equal(SAMPLE.size, 44);
  assert.deepEqual(SAMPLE.fields.get('pad0'), [27, 1]);
  assert.ok(struct('s', { targetPort: u16 }).fields.has('target_port'));
});

test('decoding undoes encoding', () => {
  const address = fc.option(fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIp), { nil: null }).filter((one) => one !== '::');
  const value = fc.record(
    {
      first: fc.bigInt(0n, 2n ** 64n - 1n),
      where: address,
      port: fc.nat(65_535),
      kind: fc.nat(255),
      count: fc.nat(),
      name: fc.constantFrom('', 'cart', 'elevenchars'),
    },
    { noNullPrototype: true },
  );
  fc.assert(fc.property(value, (one) => assert.deepEqual(SAMPLE.decode(SAMPLE.encode(one)), one)));
});

test('E30: padding is written as zero even over old bytes', () => {
  const bytes = Buffer.alloc(SAMPLE.size, 0xff);
  SAMPLE.write(bytes, 0, { first: 1n, where: null, port: 2, kind: 3, count: 4, name: 'x' });
  assert.equal(bytes[27], 0);
  assert.ok(bytes.subarray(33).every((byte) => byte === 0));
});

test('a number of eight bytes is the one that was given, also after itself and after others', () => {
  const large = 2n ** 64n - 1n;
  const layout = struct('two', { first: u64, second: u64 });
  for (const [first, second] of [
    [0n, large],
    [large, large],
    [5n, 2n ** 32n],
    [2n ** 32n, 5n],
  ] as const)
    assert.deepEqual(layout.decode(layout.encode({ first, second })), { first, second });
  assert.throws(() => layout.encode({ first: large + 1n, second: 0n }), RangeError);
  assert.equal(layout.decode(layout.encode({ first: large, second: 7n })).first, large);
});

test('a string that does not fit is refused, never cut', () => {
  assert.throws(() => SAMPLE.encode({ first: 0n, where: null, port: 0, kind: 0, count: 0, name: 'twelve chars' }), RangeError);
});
