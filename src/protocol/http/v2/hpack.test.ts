import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Http2Error } from './constants.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { encodeHeaders } from './hpack-encoder.ts';
import { type Header, STATIC_TABLE } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('the static table has 61 entries', () => assert.equal(STATIC_TABLE.length, 61));

const LIST = 16_384;

// RFC 7541 appendix C.4: requests with Huffman coding, one decoder for all three.
test('the requests of RFC 7541 C.4 decode, dynamic table included', () => {
  const decoder = new HpackDecoder(LIST);
  const first: Header[] = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ];
  assert.deepEqual(decoder.decode(hex('828684418cf1e3c2e5f23a6ba0ab90f4ff')), first);
  assert.deepEqual(decoder.decode(hex('828684be5886a8eb10649cbf')), [...first, ['cache-control', 'no-cache']]);
  assert.deepEqual(decoder.decode(hex('828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf')), [
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
  assert.deepEqual(decoder.decode(hex('be bf')), [
    ['c', 'd'],
    ['a', 'b'],
  ]);
  assert.deepEqual(decoder.decode(hex('3f05 be')), [['c', 'd']]);
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

test('a header list over the limit is refused', () => {
  const block = encodeHeaders([['a', 'x'.repeat(200)]]);
  assert.throws(() => new HpackDecoder(200).decode(block), /too large/);
  assert.equal(new HpackDecoder(233).decode(block).length, 1);
});

test('an index bomb stops at the limit', () => {
  const decoder = new HpackDecoder(LIST);
  const bomb = Buffer.concat([hex('4001617fd10e'), Buffer.alloc(2_000, 0x78), Buffer.alloc(5_000, 0xbe)]);
  assert.throws(() => decoder.decode(bomb), /too large/);
});

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 });
test('decoding undoes encoding', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(latin1, latin1), { maxLength: 20 }), (headers) => {
      assert.deepEqual(new HpackDecoder(1 << 20).decode(encodeHeaders(headers)), headers);
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
