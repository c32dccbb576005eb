import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RetryBudget } from '#model/waypoint/destination-settings.ts';
import { readDurationMs } from './documents.ts';

/** How much may be sent again, as written: by TrafficPolicies, which have it of the Gateway API. */
export type RawRetryBudget = { percent?: number; interval?: string; minRetryRate?: { count?: number; interval?: string } };

// Fixed by both APIs (config-api 1.17 and 6.3): bounds, and what a field is that nobody wrote.
const LEAST_MS = 1_000;
const MOST_MS = 3_600_000;
const INTERVAL_MS = 10_000;
const RETRY_PERCENT = 20;
const MIN_RETRIES = 10;
const MIN_RETRIES_MS = 1_000;

/** Where the two times of a budget are written. */
export type BudgetPaths = { interval: FieldPath; leastInterval: FieldPath /** Of the least. */; leastMs?: number };

/** What the schema cannot say of a budget. Shorter intervals would forget requests faster than clients come back with them. */
export function checkRetryBudget(budget: RawRetryBudget | undefined, at: BudgetPaths): Problem[] {
  const { interval, minRetryRate } = budget ?? {};
  return [
    ...between(interval, LEAST_MS, at.interval, 'from 1s to 1h'),
    ...between(minRetryRate?.interval, at.leastMs ?? LEAST_MS, at.leastInterval, at.leastMs ? 'up to 1h' : 'from 1s to 1h'),
  ];
}

/** The pattern of a schema lets any number of hours pass, and none. */
function between(text: string | undefined, leastMs: number, path: FieldPath, words: string): Problem[] {
  const milliseconds = text === undefined ? leastMs : readDurationMs(text);
  if (milliseconds >= leastMs && milliseconds <= MOST_MS) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${text} is not ${words}`, 'choose one between')];
}

/** The least is told as a rate, whatever interval it was written with. */
export function readRetryBudget({ percent, interval, minRetryRate }: RawRetryBudget): RetryBudget {
  const perMs = (minRetryRate?.count ?? MIN_RETRIES) / durationOf(minRetryRate?.interval, MIN_RETRIES_MS);
  const of = { kind: 'interval', intervalMs: durationOf(interval, INTERVAL_MS), minPerSecond: perMs * 1_000 } as const;
  return { percent: percent ?? RETRY_PERCENT, of };
}

/** The check has refused what is out of bounds. */
function durationOf(text: string | undefined, otherwiseMs: number): number {
  return text === undefined ? otherwiseMs : readDurationMs(text);
}
