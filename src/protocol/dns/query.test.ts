import assert from 'node:assert/strict';
import test from 'node:test';
import { type Answer, encode, RECURSION_DESIRED } from 'dns-packet';
import fc from 'fast-check';
import { decodeQuery } from '#protocol/dns/query.ts';
import { RCODE } from '#protocol/dns/wire.ts';

const opt = (udpPayloadSize: number, ednsVersion = 0, more: object = {}): Answer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize,
  extendedRcode: 0,
  ednsVersion,
  flags: 0,
  flag_do: false,
  options: [],
  ...more,
});

function queryBytes(name: string, additionals: Answer[] = [], flags = RECURSION_DESIRED): Buffer {
  return encode({ type: 'query', id: 7, flags, questions: [{ type: 'A', name, class: 'IN' }], additionals });
}

function patched(bytes: Buffer, offset: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(value, offset);
  return copy;
}

test('a plain query is read with its letter case', () => {
  const decoded = decodeQuery(queryBytes('Reviews.Shop'));
  assert.ok(decoded.kind === 'query');
  const { name, type, plain, echo } = decoded.query;
  assert.deepEqual({ name, type, plain }, { name: 'Reviews.Shop', type: 'A', plain: true });
  assert.deepEqual(
    { id: echo.id, recursionDesired: echo.recursionDesired, edns: echo.edns },
    { id: 7, recursionDesired: true, edns: null },
  );
  assert.equal(echo.udpBytesMax, 512);
});

const sizes = [
  { name: 'EDNS below the minimum counts as 512', size: 100, want: 512 },
  { name: 'EDNS is respected', size: 1_232, want: 1_232 },
  { name: 'EDNS is capped', size: 65_000, want: 4_096 },
];
for (const { name, size, want } of sizes) {
  test(name, () => {
    const decoded = decodeQuery(queryBytes('a.b', [opt(size)]));
    assert.equal(decoded.kind === 'query' && decoded.query.echo.udpBytesMax, want);
  });
}

const longLabel = Buffer.concat([
  queryBytes('x').subarray(0, 12),
  Buffer.of(64),
  Buffer.alloc(64, 0x61),
  Buffer.of(0, 0, 1, 0, 1),
]);
const pointer = Buffer.concat([queryBytes('x').subarray(0, 12), Buffer.of(0xc0, 0x0c, 0, 1, 0, 1)]);
const longName = Buffer.concat([
  queryBytes('x').subarray(0, 12),
  ...Array.from({ length: 5 }, () => Buffer.concat([Buffer.of(63), Buffer.alloc(63, 0x61)])),
  Buffer.of(0, 0, 1, 0, 1),
]);
const failures = [
  { name: 'another opcode is not implemented', bytes: patched(queryBytes('a.b'), 2, 0x2800), want: RCODE.notImp },
  { name: 'no question is malformed', bytes: patched(queryBytes('a.b'), 4, 0), want: RCODE.formErr },
  { name: 'two questions are malformed', bytes: patched(queryBytes('a.b'), 4, 2), want: RCODE.formErr },
  { name: 'a cut question is malformed', bytes: queryBytes('a.b').subarray(0, 16), want: RCODE.formErr },
  { name: 'a compressed question is malformed', bytes: pointer, want: RCODE.formErr },
  { name: 'a label over 63 bytes is malformed', bytes: longLabel, want: RCODE.formErr },
  { name: 'a name over 255 bytes is malformed', bytes: longName, want: RCODE.formErr },
  { name: 'records promised but absent are malformed', bytes: patched(queryBytes('a.b'), 10, 1), want: RCODE.formErr },
  { name: 'a flood of records is malformed', bytes: patched(queryBytes('a.b'), 10, 60_000), want: RCODE.formErr },
  { name: 'bytes after the end are malformed', bytes: Buffer.concat([queryBytes('a.b'), Buffer.of(1)]), want: RCODE.formErr },
  {
    name: 'an oversized query is malformed',
    bytes: Buffer.concat([queryBytes('a.b'), Buffer.alloc(5_000)]),
    want: RCODE.formErr,
  },
  { name: 'two OPT records are malformed', bytes: queryBytes('a.b', [opt(512), opt(512)]), want: RCODE.formErr },
  { name: 'an unknown EDNS version is named', bytes: queryBytes('a.b', [opt(512, 1)]), want: RCODE.badVers },
];
for (const { name, bytes, want } of failures) {
  test(name, () => {
    const decoded = decodeQuery(bytes);
    assert.equal(decoded.kind === 'error' && decoded.rcode, want);
  });
}

test('a response and a stub of a header are not answered', () => {
  assert.equal(decodeQuery(patched(queryBytes('a.b'), 2, 0x8000)).kind, 'ignore');
  assert.equal(decodeQuery(Buffer.alloc(11)).kind, 'ignore');
});

test('a label with a dot inside is no mesh name', () => {
  const bytes = Buffer.concat([queryBytes('x').subarray(0, 12), Buffer.from('\x03a.b\x00\x00\x01\x00\x01', 'latin1')]);
  const decoded = decodeQuery(bytes);
  assert.equal(decoded.kind === 'query' && decoded.query.plain, false);
});

test('another class than IN is no mesh name', () => {
  const bytes = queryBytes('a.b');
  const decoded = decodeQuery(patched(bytes, bytes.length - 2, 3));
  assert.equal(decoded.kind === 'query' && decoded.query.plain, false);
});

test('a type without a name is kept for forwarding', () => {
  const bytes = queryBytes('a.b');
  const decoded = decodeQuery(patched(bytes, bytes.length - 4, 65));
  assert.match(decoded.kind === 'query' ? decoded.query.type : '', /65/);
});

test('no bytes make it throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void decodeQuery(Buffer.from(bytes))));
});

test('no damage to a valid query makes it throw', () => {
  const good = queryBytes('reviews.shop', [opt(1_232)]);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      decodeQuery(bytes);
    }),
  );
});
