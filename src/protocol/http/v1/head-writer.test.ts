import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { isWritableField } from '#protocol/http/forwardable.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { writeResponseHead } from './head-writer.ts';
import { Http1Headers } from './http1-headers.ts';

/** The header lines of a response with these, as they go out. */
function written(headers: StringHeaders | Http1Headers): string {
  let text = '';
  const to = { write: (buffer: Buffer, start: number, end: number) => (text += buffer.toString('latin1', start, end)) };
  writeResponseHead(to, { status: 200, headers, contentLength: null }, { framing: 'none', contentLength: null, close: false });
  return text.slice(text.indexOf('\r\n') + 2, -2);
}

/** Characters of all kinds: of names, of values, of neither, and wider than one byte. */
const text = fc.string({ unit: fc.constantFrom(...'abXZ09-_~: \t\r\n\0"é\u0100\u0a0d\u{1f600}'), maxLength: 12 });

test('an added header is a line of its own if every codec can write it, and else it is not there', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { maxLength: 4 }), (pairs) => {
      const headers = new StringHeaders([]);
      for (const [name, value] of pairs) headers.add(name, value);
      const lines = pairs.filter(([name, value]) => isWritableField(name, value)).map(([name, value]) => `${name}: ${value}\r\n`);
      assert.equal(written(headers), lines.join(''));
    }),
    { numRuns: 2_000 },
  );
});

test('long headers are written whole', () => {
  const long = 'x'.repeat(100_000);
  const headers = new StringHeaders([]);
  headers.add('a', long);
  headers.add(long, 'b');
  assert.equal(written(headers), `a: ${long}\r\n${long}: b\r\n`);
});

test('a received header goes on with its name in lower case', () => {
  const bytes = Buffer.from('X-One:  A b \r\nx-Two:\r\n', 'latin1');
  const headers = new Http1Headers();
  assert.equal(headers.parse(bytes, 0, bytes.length), 'ok');
  assert.equal(written(headers), 'x-one: A b\r\nx-two: \r\n');
});
