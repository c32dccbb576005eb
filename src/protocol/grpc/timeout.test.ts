import assert from 'node:assert/strict';
import test from 'node:test';
import { readGrpcTimeout, writeGrpcTimeout } from './timeout.ts';

const rows: [string | null, number | null][] = [
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['1S', 1_000],
  ['200m', 200],
  ['1500u', 2],
  ['1n', 1],
  ['0m', 0],
  ['99999999H', 99_999_999 * 3_600_000],
  ['123456789m', null],
  ['1.5S', null],
  ['-1S', null],
  ['1s', null],
  ['S', null],
  ['', null],
  [null, null],
];
for (const [written, want] of rows)
  test(`W41 a call says how long it may take: ${written}`, () => assert.equal(readGrpcTimeout(written), want));

test('W41 what is written is read again', () => {
  for (const timeoutMs of [0, 1, 20, 99_999_999, 100_000_000])
    assert.equal(readGrpcTimeout(writeGrpcTimeout(timeoutMs)), timeoutMs);
});
