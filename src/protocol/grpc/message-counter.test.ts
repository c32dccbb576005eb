import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageCounter } from './message-counter.ts';
import { framed } from './unary.ts';

/** A prefix alone. */
function prefix(bytes: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes, 1);
  return head;
}

const BODY = Buffer.concat([
  framed(Buffer.alloc(7, 1)),
  framed(Buffer.alloc(0)),
  framed(Buffer.alloc(300, 0)),
  framed(Buffer.alloc(1)),
]);

const CASES: { name: string; pieces: readonly Buffer[]; want: number }[] = [
  { name: 'nothing', pieces: [], want: 0 },
  { name: 'an empty piece', pieces: [Buffer.alloc(0)], want: 0 },
  { name: 'several in one piece, an empty one among them', pieces: [BODY], want: 4 },
  { name: 'byte by byte', pieces: [...BODY].map((byte) => Buffer.from([byte])), want: 4 },
  { name: 'a prefix that is not whole', pieces: [prefix(3).subarray(0, 4)], want: 0 },
  { name: 'a message of which nothing but the prefix came', pieces: [prefix(3)], want: 1 },
  {
    name: 'a message that ends with a piece, and the next prefix in the one after',
    pieces: [framed(Buffer.alloc(2)), prefix(0)],
    want: 2,
  },
  {
    name: 'what looks like prefixes within a message',
    pieces: [framed(Buffer.alloc(20, 0)), framed(Buffer.alloc(5, 0))],
    want: 2,
  },
  { name: 'the greatest length', pieces: [prefix(0xffff_ffff), Buffer.alloc(100), Buffer.alloc(100)], want: 1 },
  {
    name: 'the greatest length, its prefix byte by byte',
    pieces: [...prefix(0xffff_ffff)].map((byte) => Buffer.from([byte])).concat(Buffer.alloc(100)),
    want: 1,
  },
];

for (const { name, pieces, want } of CASES)
  test(`messages of gRPC: ${name}`, () => {
    const counter = new MessageCounter();
    for (const piece of pieces) counter.take(piece);
    assert.equal(counter.count, want);
  });

test('messages of gRPC: cut in two at any place, or in three, they are as many', () => {
  for (let first = 0; first <= BODY.length; first++)
    for (const second of [first, Math.min(first + 3, BODY.length), BODY.length]) {
      const counter = new MessageCounter();
      for (const piece of [BODY.subarray(0, first), BODY.subarray(first, second), BODY.subarray(second)]) counter.take(piece);
      assert.equal(counter.count, 4, `cut at ${first} and ${second}`);
    }
});
