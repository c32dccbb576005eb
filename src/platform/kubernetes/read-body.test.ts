import assert from 'node:assert/strict';
import test from 'node:test';
import { bounded, linesOf, TooLargeError } from './read-body.ts';

async function* pieces(...texts: string[]): AsyncGenerator<Buffer, void, void> {
  for (const text of texts) yield Buffer.from(text);
}

async function all(lines: AsyncIterable<string[]>): Promise<string[]> {
  const found: string[] = [];
  for await (const some of lines) found.push(...some);
  return found;
}

test('lines come whole however they are cut; what has no end is no line', async () => {
  assert.deepEqual(await all(linesOf(pieces('{"a"', ':1}\n{"b":2}', '\n\n{"c":3}\n{"d'), 100)), [
    '{"a":1}',
    '{"b":2}',
    '{"c":3}',
  ]);
});

test('a letter that is cut in two is whole again', async () => {
  const bytes = Buffer.from('ä\n');
  const cut = async function* () {
    yield bytes.subarray(0, 1);
    yield bytes.subarray(1);
  };
  assert.deepEqual(await all(linesOf(cut(), 100)), ['ä']);
});

test('a line without end and a body beyond its bound are refused', async () => {
  await assert.rejects(all(linesOf(pieces('x'.repeat(60), 'x'.repeat(60)), 100)), TooLargeError);
  await assert.rejects(bounded(pieces('x'.repeat(60), 'x'.repeat(60)), 100), TooLargeError);
  assert.equal(await bounded(pieces('ab', 'c'), 3), 'abc');
});
