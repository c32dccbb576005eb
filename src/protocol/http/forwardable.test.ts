import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readHeaders, readTrailers, writeHeaders } from '#platform/http2/node-headers.testing.ts';
import {
  isForwardableField,
  isForwardableInterim,
  isForwardableStatus,
  isForwardableTrailer,
  isWritableField,
} from './forwardable.ts';
import { StringHeaders } from './header-block.ts';
import type { ResponseHead } from './message.ts';
import { type HeadTaker, writeRequestHead, writeResponseHead } from './v1/head-writer.ts';

const fields: [name: string, value: string, head: boolean, trailer: boolean][] = [
  ['x-a', 'b', true, true],
  ['x-a', 'caf\u00e9', true, true],
  ['x-a', '', true, true],
  ['http2-settings', 'x', false, false],
  ['connection', 'close', false, false],
  ['keep-alive', 'timeout=1', false, false],
  ['proxy-connection', 'close', false, false],
  ['transfer-encoding', 'chunked', false, false],
  ['upgrade', 'h2c', false, false],
  ['te', 'gzip', false, false],
  ['te', 'trailers', true, false],
  ['content-length', '3', true, false],
  ['host', 'a', true, false],
  ['authorization', 'Bearer x', true, false],
  ['set-cookie', 'a=b', true, false],
  ['grpc-status', '0', true, true],
  ['', 'x', false, false],
  [':path', '/', false, false],
  ['X-Upper', 'x', false, false],
  ['x a', 'x', false, false],
  ['x-a', 'line\r\nx-b: injected', false, false],
  ['x-a', 'nul\0', false, false],
  ['x-a', '\u010d\u010a', false, false], // cut to one byte each this is a line break
];
for (const [name, value, head, trailer] of fields) {
  test(`S18: ${JSON.stringify(`${name}: ${value}`)} ${head ? 'goes on' : 'ends here'} in a head, ${trailer ? 'goes on' : 'ends here'} in trailers`, () => {
    assert.deepEqual([isForwardableField(name, value), isForwardableTrailer(name, value)], [head, trailer]);
  });
}

/** The bytes that a writer hands to a stream. */
function written(write: (to: HeadTaker) => void): Buffer {
  let bytes = Buffer.alloc(0);
  write({
    write(buffer, start, end) {
      bytes = Buffer.from(buffer.subarray(start, end));
    },
  });
  return bytes;
}

function responseText(head: ResponseHead): Buffer {
  return written((to) => writeResponseHead(to, head, { framing: 'none', contentLength: null, close: false }));
}

test('S18: statuses that a codec throws on are none that another lets in', () => {
  assert.deepEqual([100, 101, 102, 103, 199, 200].map(isForwardableInterim), [true, false, true, true, true, false]);
  assert.deepEqual([199, 200, 204, 599, 600, 999, Number.NaN].map(isForwardableStatus), [
    false,
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

const anyText = fc.string({ unit: 'binary', maxLength: 12 });
const anyName = fc.oneof(
  anyText,
  fc.constantFrom('x-a', 'te', 'http2-settings', 'connection', ':status', 'Host', 'cookie', 'set-cookie', '__proto__'),
);

test('S18: whatever pairs are read, or added by a route, every writer writes, and each as one line', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anyName, anyText), { maxLength: 6 }),
      fc.array(fc.tuple(anyName, anyText), { maxLength: 3 }),
      (read, added) => {
        const headers = readHeaders(read.flat());
        for (const [name, value] of added) headers.add(name, value);
        const trailers = readTrailers(Object.fromEntries(read));
        for (const block of [headers, trailers]) {
          for (const [name, value] of Object.entries(writeHeaders(block, {})))
            for (const one of Array.isArray(value) ? value : [String(value)]) assert.ok(isWritableField(name, one));
          const response = responseText({ status: 200, headers: block, contentLength: null }).toString('latin1');
          const request = {
            version: 'http2',
            method: 'GET',
            target: '/',
            authority: 'a',
            headers: block,
            hasBody: false,
            contentLength: null,
            upgrade: null,
          } as const;
          for (const text of [response, written((to) => writeRequestHead(to, request, 'none')).toString('latin1')]) {
            const lines = text.split('\r\n').slice(1, -2);
            assert.ok(
              lines.every((line) => /^[^\s:]+: [^\r\n\0]*$/.test(line)),
              text,
            );
          }
        }
      },
    ),
  );
});

test('S18: a head that could not be written leaves nothing to the next one', () => {
  const broken = new StringHeaders(['x-a', 'secret of another']);
  broken.nameAt = () => {
    throw new Error('planted');
  };
  const pairsOf = (headers: StringHeaders) => ({ status: 200, headers, contentLength: null });
  assert.throws(() => responseText(pairsOf(broken)));
  assert.equal(responseText(pairsOf(new StringHeaders([]))).toString(), 'HTTP/1.1 200 OK\r\n\r\n');
});
