import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Http2Error } from './constants.ts';
import { type Header, TRAIT } from './field.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { BLOCK, encodeHeaders, HpackEncoder } from './hpack-encoder.ts';
import { STATIC_TABLE } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('the static table has 61 entries', () => assert.equal(STATIC_TABLE.length, 61));

const LIST = 16_384;

/** Names and values only. */
function decode(decoder: HpackDecoder, block: string | Buffer): Header[] {
  const fields = decoder.decode(typeof block === 'string' ? hex(block) : block);
  return (fields ?? []).map(([name, value]) => [name, value]);
}

// RFC 7541 appendix C.4: requests with Huffman coding, one decoder for all three.
test('the requests of RFC 7541 C.4 decode, dynamic table included', () => {
  const decoder = new HpackDecoder(LIST);
  const first: Header[] = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ];
  assert.deepEqual(decode(decoder, '828684418cf1e3c2e5f23a6ba0ab90f4ff'), first);
  assert.deepEqual(decode(decoder, '828684be5886a8eb10649cbf'), [...first, ['cache-control', 'no-cache']]);
  assert.deepEqual(decode(decoder, '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'), [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ]);
});

test('a shrunk dynamic table forgets its oldest entries', () => {
  const decoder = new HpackDecoder(LIST);
  decoder.decode(hex('400161 0162 400163 0164'));
  assert.deepEqual(decode(decoder, 'be bf'), [
    ['c', 'd'],
    ['a', 'b'],
  ]);
  assert.deepEqual(decode(decoder, '3f05 be'), [['c', 'd']]);
  assert.throws(() => decoder.decode(hex('bf')), Http2Error);
});

const broken = [
  { name: 'an index past the tables', block: 'ff80ff7f' },
  { name: 'index zero', block: '80' },
  { name: 'a string cut short', block: '0005616263' },
  { name: 'a field cut short', block: '00' },
  { name: 'an endless integer', block: 'ffffffffffffffffffff' },
  { name: 'a table larger than announced', block: '3fe21f' },
  { name: 'a size update after a field', block: '8220' },
  { name: 'Huffman padding of eight bits', block: '00 01 61 82 1f ff' },
  { name: 'Huffman padding with zeros', block: '00 01 61 81 18' },
  { name: 'the end-of-string code', block: '00 01 61 84 ff ff ff ff' },
];
for (const { name, block } of broken)
  test(`refused: ${name}`, () => assert.throws(() => new HpackDecoder(LIST).decode(hex(block)), Http2Error));

test('a header list over the limit is none, and what it told the table is known all the same', () => {
  const block = encodeHeaders([['a', 'x'.repeat(200)]]);
  assert.equal(new HpackDecoder(200).decode(block), null);
  assert.equal(new HpackDecoder(233).decode(block)?.length, 1);
  const decoder = new HpackDecoder(100);
  assert.equal(decoder.decode(Buffer.concat([hex('4001610162'), block])), null);
  assert.deepEqual(decode(decoder, 'be'), [['a', 'b']]);
});

test('an index bomb is no list', () => {
  const decoder = new HpackDecoder(LIST);
  const bomb = Buffer.concat([hex('4001617fd10e'), Buffer.alloc(2_000, 0x78), Buffer.alloc(5_000, 0xbe)]);
  assert.equal(decoder.decode(bomb), null);
});

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 });
test('decoding undoes encoding', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(latin1, latin1), { maxLength: 20 }), (headers) => {
      assert.deepEqual(decode(new HpackDecoder(1 << 20), encodeHeaders(headers)), headers);
    }),
  );
});

test('no block makes the decoder fail in another way than by Http2Error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (block) => {
      try {
        new HpackDecoder(LIST).decode(Buffer.from(block));
      } catch (error) {
        assert.ok(error instanceof Http2Error);
      }
    }),
  );
});

test('Huffman: a known text and the empty one', () => {
  assert.equal(decodeHuffman(hex('f1e3c2e5f23a6ba0ab90f4ff')), 'www.example.com');
  assert.equal(decodeHuffman(hex('')), '');
});

const FIELDS = fc.array(
  fc.tuple(
    fc.constantFrom('a', 'content-type', ':path', 'cookie', 'authorization', 'x-1', 'x-2'),
    fc.constantFrom('', 'v', 'text/html', 'x'.repeat(700), '\u00ff'),
    fc.boolean(),
  ),
  { maxLength: 12 },
);
test('blocks of one encoder decode in order, whatever the peer allows its table meanwhile', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(FIELDS, fc.option(fc.integer({ min: 0, max: 9_000 }))), { maxLength: 30 }), (blocks) => {
      const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder(1 << 20)];
      for (const [fields, limit] of blocks) {
        if (limit !== null) encoder.limit(limit);
        encoder.begin();
        for (const [name, value, never] of fields) encoder.field(name, value, never);
        const block = Buffer.from(BLOCK.buffer.subarray(BLOCK.start, BLOCK.end));
        assert.deepEqual(
          decode(decoder, block),
          fields.map(([name, value]) => [name, value]),
        );
      }
    }),
  );
});

test('what repeats costs a byte from its third time on; secrets are never in a table', () => {
  const encoder = new HpackEncoder();
  const bytesOf = (name: string, value: string, never = false): number => {
    encoder.begin();
    encoder.field(name, value, never);
    return BLOCK.end - BLOCK.start;
  };
  const three = (name: string, value: string, never = false) => [1, 2, 3].map(() => bytesOf(name, value, never));
  assert.deepEqual(three('x-a', 'value'), [11, 11, 1]);
  assert.deepEqual(three('authorization', 'abc'), [6, 6, 6]);
  assert.deepEqual(three('cookie', 'short'), [8, 8, 8]);
  assert.deepEqual(three('x-b', 'value', true), [11, 11, 11]);
  assert.equal(
    new HpackDecoder(LIST).decode(BLOCK.buffer, BLOCK.start, BLOCK.end)?.[0]?.[3] ?? 0,
    TRAIT.head + TRAIT.trailer + TRAIT.neverIndexed,
  );
});
