import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { headerIdOf } from '#protocol/http/header-names.ts';
import { answerFormOf, grpcHeaders, TextBody, trailersFrame, webFormOf, webTypeOf } from './web.ts';

for (const [type, form] of [
  ['application/grpc-web', 'binary'],
  ['application/grpc-web+proto', 'binary'],
  ['Application/gRPC-Web+JSON; charset=utf-8', 'binary'],
  ['application/grpc-web-text', 'text'],
  ['application/grpc-web-text+proto', 'text'],
  ['application/grpc', null],
  ['application/grpc-websocket', null],
  ['application/grpc-web-texts', null],
  ['text/plain', null],
  [null, null],
] as const)
  test(`gRPC-Web: a body of ${type} is ${form}`, () => assert.equal(webFormOf(type), form));

for (const [accept, asked, want] of [
  [null, 'text', 'text'],
  ['*/*', 'text', 'text'],
  ['application/grpc-web-text', 'binary', 'text'],
  ['application/grpc-web+proto', 'text', 'binary'],
  ['application/json', 'text', 'text'],
] as const)
  test(`gRPC-Web: who asks as ${asked} and accepts ${accept} is answered as ${want}`, () =>
    assert.equal(answerFormOf(accept, asked), want));

test('gRPC-Web: the server sees a call of gRPC, with what else the client has written', () => {
  const came = [
    'content-type',
    'application/grpc-web-text+Proto',
    'x-user',
    'a',
    'x-user',
    'b',
    'te',
    'gzip',
    'grpc-timeout',
    '1S',
  ];
  const headers = grpcHeaders(new StringHeaders(came, headerIdOf));
  assert.deepEqual(headers.toPairs(), [
    ...['x-user', 'a', 'x-user', 'b', 'grpc-timeout', '1S'],
    ...['content-type', 'application/grpc+proto', 'te', 'trailers'],
  ]);
});

for (const [type, form, want] of [
  ['application/grpc', 'binary', 'application/grpc-web'],
  ['application/grpc+proto', 'text', 'application/grpc-web-text+proto'],
  ['text/html', 'text', null],
  [null, 'binary', null],
] as const)
  test(`gRPC-Web: an answer of ${type} is ${want}`, () => assert.equal(webTypeOf(type, form), want));

test('gRPC-Web: trailers are a frame of their own', () => {
  const frame = trailersFrame(new StringHeaders(['grpc-status', '5', 'grpc-message', 'no%20such']));
  const text = 'grpc-status:5\r\ngrpc-message:no%20such\r\n';
  assert.deepEqual(frame, Buffer.concat([Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text)]));
});

test('gRPC-Web: text is read in pieces of any size, and each message may end in padding', () => {
  const parts = ['a', 'ab', 'abc', '', 'abcd'].map((text) => Buffer.from(text));
  const text = Buffer.from(parts.map((part) => part.toString('base64')).join(''));
  for (let size = 1; size <= text.length; size++) {
    const body = new TextBody();
    const read: Buffer[] = [];
    for (let at = 0; at < text.length; at += size) read.push(body.take(text.subarray(at, at + size)) ?? assert.fail('malformed'));
    assert.deepEqual(Buffer.concat(read), Buffer.concat(parts), `pieces of ${size}`);
    assert.ok(body.isWhole);
  }
});

for (const text of ['ab*d', 'a===', '====', 'ab=d', 'abcd\nabc', '=abc'])
  test(`gRPC-Web: "${text.replace('\n', '⏎')}" is no text`, () => {
    const body = new TextBody();
    assert.ok(body.take(Buffer.from(text)) === null || !body.isWhole);
  });
