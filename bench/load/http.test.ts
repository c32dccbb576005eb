import assert from 'node:assert/strict';
import { test } from 'node:test';
import { p99Milliseconds, parseSummary } from './http.ts';

const PRINTED = `
finished in 85.42ms, 58536.36 req/s, 59.40MB/s
requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx
`;

test('the rate is read from the summary', () =>
  assert.deepEqual(parseSummary(PRINTED, 5000), { requests: 5000, rate: 58536.36 }));

for (const [name, printed] of [
  ['of which some were refused', PRINTED.replace('5000 2xx, 0 3xx, 0 4xx, 0 5xx', '4999 2xx, 0 3xx, 0 4xx, 1 5xx')],
  ['of which some were never answered', PRINTED.replace('5000 2xx', '4998 2xx')],
  ['that printed nothing', ''],
] as const) {
  test(`requests ${name} are no measurement`, () =>
    assert.throws(() => parseSummary(printed, 5000), { code: 'WEFT_BENCH_LOAD' }));
}

test('one in a hundred may take longer', () => {
  const lines = Array.from({ length: 200 }, (_, at) => `1795701479370760\t200\t${(200 - at) * 1000}`);
  assert.equal(p99Milliseconds(`${lines.join('\n')}\n`), 199);
});
