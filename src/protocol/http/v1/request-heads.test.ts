import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HTTP } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { HeadBuffer } from './head-buffer.ts';
import { Http1Headers } from './http1-headers.ts';
import { parseRequestHead, type RequestHeadResult } from './request-head.ts';
import { RequestHeads } from './request-heads.ts';

const HEADS = [
  'GET /a HTTP/1.1\r\nhost: a\r\nx: 1\r\nconnection: x\r\n\r\n',
  'GET /a HTTP/1.1\r\nhost: a\r\nx: 2\r\nconnection: x\r\n\r\n',
  'GET /a//%62/../c HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\n\r\n',
  'GET /a HTTP/1.1\r\nhost: b\r\n\r\n',
  'POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nkeep-alive: timeout=5\r\n\r\n',
  'POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nkeep-alive: timeout=5\r\n\r\n',
  'POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n',
  'GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n',
  `GET /a HTTP/1.1\r\nhost: a\r\nlong: ${'x'.repeat(HTTP.keptHeadBytesMax)}\r\n\r\n`,
];

/** All that a head says, with what is left of its headers. */
function told(result: RequestHeadResult): unknown {
  if (result.kind === 'invalid') return result;
  const { headers, ...head } = result.head;
  return { ...result, head: { ...head, headers: headers.toPairs() } };
}

function fresh(text: string, level: PathNormalization): unknown {
  const bytes = Buffer.from(text, 'latin1');
  return told(parseRequestHead(bytes, 0, bytes.length, new Http1Headers(), level));
}

test('whatever came before it, and in whatever pieces it comes, a head says what it says by itself', () => {
  const request = fc.record({
    text: fc.constantFrom(...HEADS),
    emptyLines: fc.nat(1),
    cut: fc.option(fc.nat(40), { nil: null, freq: 3 }),
    level: fc.constantFrom<PathNormalization>('BASE', 'DECODE_AND_MERGE_SLASHES'),
    again: fc.boolean(),
  });
  let same = 0;
  fc.assert(
    fc.property(fc.array(request, { minLength: 2, maxLength: 12 }), (requests) => {
      const buffer = new HeadBuffer(true);
      const heads = new RequestHeads();
      let text = '';
      for (const { emptyLines, cut, level, again, ...next } of requests) {
        text = again && text !== '' ? text : next.text;
        const wire = Buffer.from(`${'\r\n'.repeat(emptyLines)}${text}rest`, 'latin1');
        // Lent, and overwritten after the call.
        const [first, second] = [
          Buffer.from(wire.subarray(0, cut ?? wire.length)),
          Buffer.from(wire.subarray(cut ?? wire.length)),
        ];
        let found = buffer.push(first, 0, first.length);
        let from = 0;
        if (found === 'incomplete') {
          found = buffer.push(second, 0, second.length);
          from = first.length;
        }
        assert.equal(found, 'complete');
        assert.equal(wire.toString('latin1', from + buffer.next), 'rest');
        first.fill(0);
        second.fill(0);
        const result = heads.read(buffer, level);
        assert.deepEqual(told(result), fresh(text, level));
        if (result.kind === 'invalid') return;
        if (buffer.isSame) same++;
        // As stages do with a request under way.
        const { headers } = result.head;
        headers.add('added', 'x');
        headers.remove('x');
        if (headers.receivedCount() > 0) headers.drop(0);
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(same > 100, `${same} heads were those before once more`);
});
