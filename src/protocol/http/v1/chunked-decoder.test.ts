import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ChunkedDecoder } from './chunked-decoder.ts';

/** Decodes pieces in turn; what follows the end is returned as `rest`. */
function decode(pieces: Buffer[]): { body: string; rest: string; end: 'more' | 'end' | 'invalid' } {
  const decoder = new ChunkedDecoder();
  let body = '';
  for (const [index, piece] of pieces.entries()) {
    let event = decoder.next(piece, 0);
    while (event === 'data') {
      body += piece.toString('latin1', decoder.dataStart, decoder.dataEnd);
      event = decoder.next(piece, decoder.position);
    }
    if (event === 'invalid') return { body, rest: '', end: 'invalid' };
    if (event === 'end') {
      const rest = Buffer.concat([piece.subarray(decoder.position), ...pieces.slice(index + 1)]);
      return { body, rest: rest.toString('latin1'), end: 'end' };
    }
  }
  return { body, rest: '', end: 'more' };
}

const whole = (text: string) => decode([Buffer.from(text, 'latin1')]);

const VALID: { name: string; text: string; body: string; rest?: string }[] = [
  { name: 'an empty body', text: '0\r\n\r\n', body: '' },
  {
    name: 'two chunks and what follows',
    text: '3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nGET',
    body: 'abc0123456789',
    rest: 'GET',
  },
  { name: 'extensions are ignored', text: '3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n', body: 'abc' },
  { name: 'trailers are dropped', text: '1\r\na\r\n0\r\nX-T: 1\r\ny:\r\n\r\n', body: 'a' },
  { name: 'data may hold CRLF', text: '4\r\n\r\n\r\n\r\n0\r\n\r\n', body: '\r\n\r\n' },
];

for (const { name, text, body, rest } of VALID) {
  test(`chunked: ${name}`, () => assert.deepEqual(whole(text), { body, rest: rest ?? '', end: 'end' }));
}

const INVALID = [
  '0;\r\n\r\n',
  '1;\r\na\r\n',
  '\r\n',
  'g\r\n',
  '-1\r\n',
  '0x1\r\na\r\n',
  ' 1\r\na\r\n',
  '1 \r\na\r\n',
  '1\na\r\n',
  '1\r\nab\r\n',
  '1\r\na\n0\r\n\r\n',
  '1\ra',
  '1;a\nb\r\na\r\n',
  '1;\x01\r\na',
  '0\r\nX : 1\r\n\r\n',
  '0\r\n: 1\r\n\r\n',
  '0\r\nx: 1\n\r\n',
  '0\r\nx\r\n\r\n',
  '0\r\n\n',
  '1000000000000\r\n',
];

for (const text of INVALID) test(`chunked: ${JSON.stringify(text)} is invalid`, () => assert.equal(whole(text).end, 'invalid'));

test('chunked: one extension is bounded', () => {
  assert.equal(whole(`1;${'x'.repeat(4_096)}\r\na\r\n0\r\n\r\n`).end, 'end');
  assert.equal(whole(`1;${'x'.repeat(4_097)}\r\na\r\n0\r\n\r\n`).end, 'invalid');
});

test('chunked: extensions of tiny chunks are bounded, those of large chunks are not', () => {
  const extension = 'x'.repeat(1_000);
  assert.equal(whole(`1;${extension}\r\na\r\n`.repeat(20)).end, 'invalid');
  assert.equal(whole(`2000;${extension}\r\n${'d'.repeat(0x2000)}\r\n`.repeat(100)).end, 'more');
});

test('chunked: trailers are bounded', () => {
  assert.equal(whole(`0\r\n${'x: y\r\n'.repeat(20_000)}`).end, 'invalid');
});

test('chunked: the pieces in which a body arrives do not matter', () => {
  const chunks = fc.array(
    fc.string({ minLength: 1, maxLength: 20 }).map((text) => Buffer.from(text)),
    { maxLength: 5 },
  );
  const cuts = fc.array(fc.nat(200), { maxLength: 6 });
  fc.assert(
    fc.property(chunks, cuts, (bodies, at) => {
      const wire = Buffer.concat([
        ...bodies.flatMap((body) => [Buffer.from(`${body.length.toString(16)};e=1\r\n`), body, Buffer.from('\r\n')]),
        Buffer.from('0\r\nT: v\r\n\r\nrest'),
      ]);
      const places = [0, ...at.map((cut) => cut % wire.length).sort((a, b) => a - b), wire.length];
      const pieces = places.slice(1).map((end, index) => wire.subarray(places[index], end));
      assert.deepEqual(decode(pieces), { body: Buffer.concat(bodies).toString('latin1'), rest: 'rest', end: 'end' });
    }),
    { numRuns: 300 },
  );
});
