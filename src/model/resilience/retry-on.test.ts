import assert from 'node:assert/strict';
import test from 'node:test';
import { compileRetry } from '#model/resilience/route-retry.ts';
import { readRetryOn, USUAL_RETRY_ON } from './retry-on.ts';

const EVERY_5XX = Array.from({ length: 100 }, (_, at) => 500 + at);

const CASES: { on: string; codes?: readonly number[]; grpc?: readonly number[]; unanswered?: boolean; unknown?: string[] }[] = [
  { on: '' },
  { on: USUAL_RETRY_ON, grpc: [1, 14] },
  { on: '5xx', codes: EVERY_5XX, unanswered: true },
  { on: 'gateway-error', codes: [502, 503, 504], unanswered: true },
  { on: 'reset', unanswered: true },
  { on: 'reset-before-request,connect-failure,refused-stream' },
  { on: 'retriable-4xx, 503 ,429', codes: [409, 429, 503] },
  { on: 'retriable-status-codes,503,503', codes: [503] },
  { on: 'gateway-error,500', codes: [500, 502, 503, 504], unanswered: true },
  { on: 'cancelled,deadline-exceeded,internal,resource-exhausted,unavailable', grpc: [1, 4, 8, 13, 14] },
  {
    on: 'retriable-headers,envoy-ratelimited,http3-post-connect-failure,5XX,999,constructor',
    unknown: ['retriable-headers', 'envoy-ratelimited', 'http3-post-connect-failure', '5XX', '999', 'constructor'],
  },
];

for (const { on, codes = [], grpc = [], unanswered = false, unknown = [] } of CASES)
  test(`config-api 4.4: retryOn "${on}"`, () =>
    assert.deepEqual(readRetryOn(on), { codes, grpcStatuses: grpc, unanswered, unknown }));

test('config-api 4.4: retries of a VirtualService that do not ask for it leave what had no answer alone', () => {
  const virtual = { intervalMs: 40, grpcStatuses: [14], unanswered: false };
  const { policy, pause, grpcStatuses } = compileRetry({ codes: [503], attempts: 3, backoffMs: null, virtual });
  assert.deepEqual([policy.triesMax, policy.whenRepeatable, grpcStatuses], [4, [], new Set([14])]);
  assert.deepEqual(pause, { leastMs: 0, growthMs: 40, maxMs: 400 });
  const asks = compileRetry({ codes: [], attempts: 0, backoffMs: null, virtual: { ...virtual, unanswered: true } });
  assert.deepEqual([asks.policy.triesMax, asks.policy.whenRepeatable], [1, ['stale', 'perhaps-processed', 'too-slow']]);
});
