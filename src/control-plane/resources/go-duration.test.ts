import assert from 'node:assert/strict';
import test from 'node:test';
import { goDurationMs } from './go-duration.ts';

const CASES: Readonly<Record<string, number | null>> = {
  '1s': 1000,
  '1.5s': 1500,
  '0.001s': 1,
  '1h2m3s4ms': 3_723_004,
  '0s': 0,
  '500us': 0.5,
  '': null,
  '1': null,
  '-1s': null,
  '1 s': null,
  '.5s': null,
  '1d': null,
};
for (const [text, want] of Object.entries(CASES))
  test(`"${text}" is ${want ?? 'no duration'}`, () => assert.equal(goDurationMs(text), want));
