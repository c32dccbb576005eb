import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HeadBuffer } from './head-buffer.ts';

const HEAD = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

test('a head in one piece is found and stays, and what follows is left', () => {
  const bytes = Buffer.from(`\r\n${HEAD}body`);
  const found = new HeadBuffer();
  assert.equal(found.push(bytes, 0, bytes.length), 'complete');
  assert.equal(bytes.toString('latin1', found.next), 'body');
  bytes.fill(0);
  assert.equal(found.bytes.toString('latin1', found.start, found.end), HEAD);
});

test('a head in any pieces is found once it is whole', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(HEAD.length + 6), { maxLength: 8 }), (cuts) => {
      const wire = Buffer.from(`\r\n\r\n${HEAD}rest`);
      const places = [0, ...cuts.map((cut) => cut % wire.length).sort((a, b) => a - b), wire.length];
      const buffer = new HeadBuffer();
      for (const [index, end] of places.slice(1).entries()) {
        const piece = wire.subarray(places[index], end);
        const result = buffer.push(piece, 0, piece.length);
        if (result === 'complete') {
          assert.equal(buffer.bytes.toString('latin1', buffer.start, buffer.end), HEAD);
          assert.equal(wire.toString('latin1', (places[index] ?? 0) + buffer.next), 'rest');
          return;
        }
        assert.equal(result, 'incomplete');
      }
      assert.fail('never complete');
    }),
    { numRuns: 300 },
  );
});

/** What a fresh buffer says of a text. */
function pushed(text: string, buffer = new HeadBuffer()): string {
  const bytes = Buffer.from(text);
  return buffer.push(bytes, 0, bytes.length);
}

test('W24 a head of more than 60 KiB is too large, whole or not', () => {
  const big = `GET / HTTP/1.1\r\nx: ${'y'.repeat(61 * 1024)}`;
  assert.equal(pushed(big), 'too-large');
  assert.equal(pushed(`${big}\r\n\r\n`), 'too-large');
  const buffer = new HeadBuffer();
  let kind = 'incomplete';
  for (let at = 0; kind === 'incomplete'; at += 1_000) kind = pushed(big.slice(at, at + 1_000), buffer);
  assert.equal(kind, 'too-large');
});

test('W23 a line that ends without CR is refused before the head is whole', () => {
  assert.equal(pushed('GET / HTTP/1.1\nhost: a\n\n'), 'bare-lf');
  const buffer = new HeadBuffer();
  assert.equal(pushed('GET / HTTP/1.1\r', buffer), 'incomplete');
  assert.equal(pushed('\nhost: a\r\n', buffer), 'incomplete');
  assert.equal(pushed('x: y\n', buffer), 'bare-lf');
});
