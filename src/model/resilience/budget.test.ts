import assert from 'node:assert/strict';
import test from 'node:test';
import type { RetryBudget } from '#model/waypoint/destination-settings.ts';
import { fitsBudget, RetryLedger } from './budget.ts';
import { breakerOfPart, isReached } from './circuit.ts';

test('a budget of what is under way: its percentage, and so many in any case', () => {
  const budget: RetryBudget = { percent: 20, of: { kind: 'active', minConcurrency: 3 } };
  const rows: [active: number, activeRetries: number, fits: boolean][] = [
    [1, 0, true],
    [1, 2, true],
    [1, 3, false],
    [19, 3, false],
    [20, 3, true],
    [24, 4, false],
    [100, 19, true],
    [100, 20, false],
  ];
  for (const [active, activeRetries, fits] of rows)
    assert.equal(
      fitsBudget(budget, { active, activeRetries, ledger: new RetryLedger(), nowMs: 0 }),
      fits,
      `${active} ${activeRetries}`,
    );
});

test('a budget of an interval: retries are a share of the requests that came in it, to a tenth of it', () => {
  const budget: RetryBudget = { percent: 20, of: { kind: 'interval', intervalMs: 10_000, minPerSecond: 0.2 } };
  const ledger = new RetryLedger();
  let nowMs = 123_456;
  const tryRetry = (): boolean => {
    const fits = fitsBudget(budget, { active: 0, activeRetries: 0, ledger, nowMs });
    if (fits) ledger.retry(nowMs, 10_000);
    return fits;
  };
  const granted = (asked: number): number => Array.from({ length: asked }, tryRetry).filter(Boolean).length;
  // Two in any case.
  assert.equal(granted(5), 2);
  for (let request = 0; request < 100; request++) ledger.request(nowMs, 10_000);
  assert.equal(granted(100), 18);
  // Nothing is forgotten within the interval, and everything after it.
  nowMs += 8_900;
  assert.equal(granted(100), 0);
  nowMs += 2_200;
  assert.equal(granted(100), 2);
  // One of another length begins anew.
  ledger.request(nowMs, 1_000);
  assert.deepEqual(ledger.counts(nowMs, 1_000), { requests: 1, retries: 0 });
});

test('a budget of an interval holds at an even load, however long every request fails', () => {
  const budget: RetryBudget = { percent: 20, of: { kind: 'interval', intervalMs: 10_000, minPerSecond: 1 } };
  const ledger = new RetryLedger();
  let retries = 0;
  for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
    ledger.request(nowMs, 10_000);
    for (let asked = 0; asked < 3; asked++) {
      if (!fitsBudget(budget, { active: 9, activeRetries: 0, ledger, nowMs })) continue;
      ledger.retry(nowMs, 10_000);
      retries++;
    }
  }
  assert.ok(retries <= 6_000 * 0.2, `${retries} retries of 6,000 requests`);
  assert.ok(retries > 6_000 * 0.15, `${retries} retries of 6,000 requests`);
});

test('W54 a limit is reached with as many as it says; parts of a waypoint have their shares, none of them nothing', () => {
  assert.deepEqual([isReached(null, 9e9), isReached(1, 0), isReached(1, 1), isReached(5, 6)], [false, false, true, true]);
  const breaker = { maxConnections: 1, maxPendingRequests: 5, maxRequests: null, maxRetries: 4, maxRequestsPerConnection: 9 };
  const share = { maxConnections: 1, maxPendingRequests: 3, maxRequests: null, maxRetries: 2, maxRequestsPerConnection: 9 };
  assert.deepEqual(breakerOfPart(breaker, 2), share);
});
