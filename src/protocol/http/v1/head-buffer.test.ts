import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HeadBuffer } from './head-buffer.ts';

const HEAD = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

test('a head in one piece is found without a copy, and what follows is left', () => {
  const bytes = Buffer.from(`\r\n${HEAD}body`);
  const result = new HeadBuffer().push(bytes, 0);
  assert.ok(result.kind === 'complete');
  assert.equal(result.bytes, bytes);
  assert.equal(bytes.toString('latin1', result.start, result.end), HEAD);
});

test('a head in any pieces is found once it is whole', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(HEAD.length + 6), { maxLength: 8 }), (cuts) => {
      const wire = Buffer.from(`\r\n\r\n${HEAD}rest`);
      const places = [0, ...cuts.map((cut) => cut % wire.length).sort((a, b) => a - b), wire.length];
      const buffer = new HeadBuffer();
      for (const [index, end] of places.slice(1).entries()) {
        const piece = wire.subarray(places[index], end);
        const result = buffer.push(piece, 0);
        if (result.kind === 'complete') {
          assert.equal(result.bytes.toString('latin1', result.start, result.end), HEAD);
          return;
        }
        assert.equal(result.kind, 'incomplete');
      }
      assert.fail('never complete');
    }),
    { numRuns: 300 },
  );
});

test('W24 a head of more than 60 KiB is too large, whole or not', () => {
  const big = `GET / HTTP/1.1\r\nx: ${'y'.repeat(61 * 1024)}`;
  assert.equal(new HeadBuffer().push(Buffer.from(big), 0).kind, 'too-large');
  assert.equal(new HeadBuffer().push(Buffer.from(`${big}\r\n\r\n`), 0).kind, 'too-large');
  const buffer = new HeadBuffer();
  let kind = 'incomplete';
  for (let at = 0; kind === 'incomplete'; at += 1_000) kind = buffer.push(Buffer.from(big.slice(at, at + 1_000)), 0).kind;
  assert.equal(kind, 'too-large');
});

test('W23 a line that ends without CR is refused before the head is whole', () => {
  assert.equal(new HeadBuffer().push(Buffer.from('GET / HTTP/1.1\nhost: a\n\n'), 0).kind, 'bare-lf');
  const buffer = new HeadBuffer();
  assert.equal(buffer.push(Buffer.from('GET / HTTP/1.1\r'), 0).kind, 'incomplete');
  assert.equal(buffer.push(Buffer.from('\nhost: a\r\n'), 0).kind, 'incomplete');
  assert.equal(buffer.push(Buffer.from('x: y\n'), 0).kind, 'bare-lf');
});
