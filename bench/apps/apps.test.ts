import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestRate } from './etcd.ts';
import { transactionRate } from './postgres.ts';
import { redisRate } from './redis.ts';

const REDIS = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","10000.00","1.2","0.4","1.1","2.0","3.0","4.0"
"GET","30000.00","0.6","0.2","0.5","1.0","1.5","2.0"
`;
const PGBENCH = `number of transactions actually processed: 1343
number of failed transactions: 0 (0.000%)
latency average = 11.9 ms
tps = 671.251 (without initial connection time)
`;
const ETCD = `
Summary:
  Total:	1.2 secs.
  Requests/sec:	1245.3

Response time histogram:
`;

test('as many SETs as GETs are one rate', () => assert.equal(redisRate(REDIS), 15_000));
test('transactions per second are without the connections', () => assert.equal(transactionRate(PGBENCH), 671.251));
test('requests per second of etcd', () => assert.equal(requestRate(ETCD), 1245.3));

const failed: [string, () => number][] = [
  ['a command that was refused', () => redisRate(`Error from server: READONLY\n${REDIS}`)],
  ['a test that is missing', () => redisRate(REDIS.slice(0, -60))],
  ['a transaction that failed', () => transactionRate(PGBENCH.replace('transactions: 0', 'transactions: 1'))],
  ['a client that was aborted', () => transactionRate(`client 3 aborted in command 4\n${PGBENCH}`)],
  ['a request that failed', () => requestRate(`${ETCD}\nError distribution:\n  [1]	rpc error\n`)],
  ['nothing', () => requestRate('')],
];
for (const [what, measure] of failed)
  test(`${what} is an error of the bench, not a figure`, () => assert.throws(measure, { code: 'WEFT_BENCH_LOAD' }));
