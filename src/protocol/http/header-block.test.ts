import assert from 'node:assert/strict';
import test from 'node:test';
import { type HeaderBlock, StringHeaders } from '#protocol/http/header-block.ts';
import { HEADER, headerIdOf } from '#protocol/http/header-names.ts';
import { Http1Headers } from './v1/http1-headers.ts';

function fromBytes(): HeaderBlock {
  const bytes = Buffer.from('X-A: 1\r\nx-b:2\r\nX-a: 3\r\nContent-Type: text/plain\r\n', 'latin1');
  const headers = new Http1Headers();
  assert.equal(headers.parse(bytes, 0, bytes.length), 'ok');
  return headers;
}

function fromStrings(): HeaderBlock {
  return new StringHeaders(['x-a', '1', 'x-b', '2', 'x-a', '3', 'content-type', 'text/plain'], headerIdOf);
}

for (const { name, make } of [
  { name: 'bytes', make: fromBytes },
  { name: 'strings', make: fromStrings },
]) {
  test(`headers from ${name}: values are found by name and by id`, () => {
    const headers = make();
    assert.equal(headers.get('x-a'), '1');
    assert.deepEqual(headers.values('x-a'), ['1', '3']);
    assert.equal(headers.get('x-c'), null);
    assert.equal(headers.getById(HEADER.contentType), 'text/plain');
  });

  test(`headers from ${name}: add keeps, set replaces, remove removes, added ones included`, () => {
    const headers = make();
    headers.add('x-a', '4');
    assert.deepEqual(headers.values('x-a'), ['1', '3', '4']);
    headers.set('x-a', '5');
    assert.deepEqual(headers.toPairs(), ['x-b', '2', 'content-type', 'text/plain', 'x-a', '5']);
    headers.remove('x-a');
    headers.dropId(HEADER.contentType);
    assert.deepEqual(headers.toPairs(), ['x-b', '2']);
    assert.equal(headers.getById(HEADER.contentType), null);
  });
}

test('a second message starts with no trace of the first', () => {
  const headers = new Http1Headers();
  const first = Buffer.from('a: 1\r\nb: 2\r\n');
  headers.parse(first, 0, first.length);
  headers.drop(0);
  headers.add('c', '3');
  headers.parse(first, 0, first.length);
  assert.deepEqual(headers.toPairs(), ['a', '1', 'b', '2']);
});
