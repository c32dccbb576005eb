import assert from 'node:assert/strict';
import test from 'node:test';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { callStatus, framed, onlyMessage } from './unary.ts';

test('a message goes over the wire behind its length, and comes back', () => {
  assert.deepEqual([...framed(Buffer.from('ab'))], [0, 0, 0, 0, 2, 97, 98]);
  assert.equal(onlyMessage(framed(Buffer.from('ab')))?.toString(), 'ab');
  assert.equal(onlyMessage(framed(Buffer.alloc(0)))?.length, 0);
});

for (const [name, bytes] of [
  ['nothing', []],
  ['less than a length', [0, 0, 0, 0]],
  ['one that is compressed', [1, 0, 0, 0, 1, 97]],
  ['less than it says', [0, 0, 0, 0, 2, 97]],
  ['two messages', [0, 0, 0, 0, 1, 97, 0, 0, 0, 0, 1, 97]],
] as const) {
  test(`no message: ${name}`, () => assert.equal(onlyMessage(Buffer.from(bytes)), null));
}

test('the status is in the trailers, or in the head of what is nothing else; without any it is unknown', () => {
  const status = (head: string[], trailers: string[] | null) =>
    callStatus(new StringHeaders(head), trailers === null ? null : new StringHeaders(trailers)).code;
  assert.equal(status([], ['grpc-status', '0']), 0);
  assert.equal(status(['grpc-status', '14'], null), 14);
  assert.equal(status(['grpc-status', '0'], ['grpc-status', '7']), 7);
  assert.equal(status([], null), 2);
  assert.equal(status([], ['grpc-status', 'x']), 2);
});
