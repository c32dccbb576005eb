import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HTTP } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { HeadBuffer } from './head-buffer.ts';
import { Http1Headers } from './http1-headers.ts';
import { KnownHeads } from './known-heads.ts';
import { parseRequestHead, type RequestHeadResult } from './request-head.ts';
import { parseResponseHead, type ResponseHeadResult } from './response-head.ts';

const REQUESTS = [
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
const RESPONSES = [
  'HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx: 1\r\nConnection: X\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx: 1\r\nConnection: X\r\n\r\n',
  'HTTP/1.1 200 OK\r\nkeep-alive: timeout=3\r\ntransfer-encoding: chunked\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n',
  'HTTP/1.0 200 OK\r\n\r\n',
];

/** All that a head says, with what is left of its headers. */
function told(result: RequestHeadResult | ResponseHeadResult): unknown {
  if (result.kind === 'invalid') return result;
  const { headers, ...head } = result.head;
  return { ...result, head: { ...head, headers: headers.toPairs() } };
}

/** A kind of message, with heads of it and what their meaning depends on. */
type Kind<Result, Terms> = {
  parse: (bytes: Buffer, start: number, end: number, headers: Http1Headers, terms: Terms) => Result;
  heads: readonly string[];
  terms: readonly Terms[];
};

function readsAsByItself<Result extends RequestHeadResult | ResponseHeadResult, Terms>(kind: Kind<Result, Terms>): void {
  const message = fc.record({
    text: fc.constantFrom(...kind.heads),
    emptyLines: fc.nat(1),
    cut: fc.option(fc.nat(40), { nil: null, freq: 3 }),
    terms: fc.constantFrom(...kind.terms),
    again: fc.boolean(),
  });
  let same = 0;
  fc.assert(
    fc.property(fc.array(message, { minLength: 2, maxLength: 12 }), (messages) => {
      const buffer = new HeadBuffer();
      const heads = new KnownHeads(kind.parse);
      let text = '';
      for (const { emptyLines, cut, terms, again, ...next } of messages) {
        text = again && text !== '' ? text : next.text;
        const wire = Buffer.from(`${'\r\n'.repeat(emptyLines)}${text}rest`, 'latin1');
        // Lent, and overwritten after the call.
        const pieces = [wire.subarray(0, cut ?? wire.length), wire.subarray(cut ?? wire.length)].map((piece) =>
          Buffer.from(piece),
        );
        const [first = wire, second = wire] = pieces;
        let found = buffer.push(first, 0, first.length);
        let from = 0;
        if (found === 'incomplete') {
          found = buffer.push(second, 0, second.length);
          from = first.length;
        }
        assert.equal(found, 'complete');
        assert.equal(wire.toString('latin1', from + buffer.next), 'rest');
        for (const piece of pieces) piece.fill(0);
        const result = heads.read(buffer, terms);
        const bytes = Buffer.from(text, 'latin1');
        assert.deepEqual(told(result), told(kind.parse(bytes, 0, bytes.length, new Http1Headers(), terms)));
        if (result.kind === 'invalid') return;
        if (buffer.isSame) same++;
        // As stages do with a message under way.
        const { headers } = result.head;
        headers.add('added', 'x');
        headers.remove('x');
        if (headers.receivedCount() > 0) headers.drop(0);
      }
    }),
    { numRuns: 1_000 },
  );
  assert.ok(same > 100, `${same} heads were those before once more`);
}

test('whatever came before it, and in whatever pieces it comes, the head of a request says what it says by itself', () =>
  readsAsByItself<RequestHeadResult, PathNormalization>({
    parse: parseRequestHead,
    heads: REQUESTS,
    terms: ['BASE', 'DECODE_AND_MERGE_SLASHES'],
  }));

test('so does that of a response, whatever it answers', () =>
  readsAsByItself<ResponseHeadResult, string>({ parse: parseResponseHead, heads: RESPONSES, terms: ['GET', 'HEAD'] }));
