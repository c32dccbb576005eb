import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SuccessRateDetection } from '#model/waypoint/destination-settings.ts';
import { failingOthers } from './success-rate.ts';

const POLICY: SuccessRateDetection = { deviations: 1.9, minEndpoints: 5, minRequests: 100 };
/** Endpoints that had 200 requests each, of which this share ended well. */
const rates = (...percents: number[]) => percents.map((percent) => ({ requests: 200, failures: 2 * (100 - percent) }));

for (const { name, tallies, policy = POLICY, want } of [
  {
    name: 'one at half while others do well: the mean is 90, the threshold 52',
    tallies: rates(50, 100, 100, 100, 100),
    want: [0],
  },
  {
    name: 'one at half, which is two deviations, where more are asked for',
    ...{ tallies: rates(50, 100, 100, 100, 100), policy: { ...POLICY, deviations: 2.1 }, want: [] },
  },
  { name: 'all equally bad', tallies: rates(10, 10, 10, 10, 10), want: [] },
  { name: 'all well', tallies: rates(100, 100, 100, 100, 100), want: [] },
  { name: 'too few to know what is usual', tallies: rates(0, 100, 100, 100), want: [] },
  {
    name: 'too few of them had enough requests',
    tallies: [...rates(100, 100, 100, 100), { requests: 99, failures: 99 }],
    want: [],
  },
  {
    name: 'one that had too few is none of them, and none of the mean',
    tallies: [...rates(50, 100, 100, 100, 100), { requests: 99, failures: 99 }],
    want: [0],
  },
  {
    name: 'two of many',
    tallies: rates(100, 100, 100, 100, 100, 100, 100, 100, 40, 40),
    policy: { ...POLICY, deviations: 1 },
    want: [8, 9],
  },
  { name: 'nobody', tallies: [], policy: { ...POLICY, minEndpoints: 0 }, want: [] },
])
  test(`W55 success rate: ${name}`, () => assert.deepEqual(failingOthers(tallies, policy), want));
