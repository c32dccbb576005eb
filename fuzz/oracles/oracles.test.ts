import assert from 'node:assert/strict';
import test from 'node:test';
import type { Comparison } from './comparison.ts';
import { COMPARISONS } from './list.ts';
import { readByLlhttp } from './llhttp.ts';
import { runComparison } from './run.ts';

/** Few enough for `make test`; `make fuzz FOR=long` runs on. The seed is fixed, so that a difference is the change's own. */
const RUNS = 30_000;
const SEED = 20_260_101;

for (const comparison of COMPARISONS) {
  const skip = comparison.missing === null ? false : `NOT COMPARED HERE: ${comparison.missing}`;
  test(`fuzz: ${comparison.name} is read as others read it`, { skip }, () => {
    const { runs, agreed, failure } = runComparison(comparison, SEED, 0, RUNS);
    if (failure !== null) assert.fail(failure);
    assert.equal(runs, RUNS);
    assert.ok(agreed > RUNS / 20, `only ${agreed} of ${RUNS} inputs are messages at all`);
  });
}

test('where others are installed, continuous integration compares with them', { skip: process.env.CI === undefined }, () => {
  assert.deepEqual(
    COMPARISONS.map(({ missing }) => missing),
    COMPARISONS.map(() => null),
  );
});

test('a difference is found, with the run that finds it again', () => {
  const planted: Comparison = {
    ...{ name: 'planted', corpora: ['http1-request'], tokens: ['\0\0'], missing: null },
    compare: (bytes) => {
      if (bytes.includes('\0\0')) throw new Error('two readings');
      return 'agreed';
    },
  };
  const { failure, runs } = runComparison(planted, SEED, 0, 10_000);
  assert.match(failure ?? '', /^planted: seed 20260101, run \d+\n"[^\n]+\nError: two readings/);
  const again = runComparison(planted, SEED, runs - 1, 1);
  assert.equal(again.failure?.split('\n')[1], failure?.split('\n')[1]);
});

test('the parser of Node.js is asked for one message, its trailers left out', () => {
  const read = readByLlhttp(
    Buffer.from('POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n'),
  );
  assert.deepEqual(
    { ...read },
    { url: '/x', headers: ['Host', 'a', 'Transfer-Encoding', 'chunked'], body: 'ok', whole: true, messages: 1, error: null },
  );
});
