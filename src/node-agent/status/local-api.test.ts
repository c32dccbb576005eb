import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeftError } from '#model/error.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import { answerLocalApi, type LocalApiActions } from './local-api.ts';

const calls: unknown[] = [];
const actions: LocalApiActions = {
  start: async (workload: WorkloadRequest) => {
    calls.push(workload);
    if (workload.name === 'twice') throw new WeftError('WEFT_WORKLOAD_EXISTS', 'runs already', { remedy: 'end it' });
    return { uid: 'u', addresses: [], netnsPath: 'n', cgroupPath: 'c', resolvConfPath: 'r' };
  },
  stop: async (key) => void calls.push(key),
  drain: async (key, draining) => void calls.push({ ...key, draining }),
  status: () => ({ node: 'one' }) as AgentStatus,
  isLeaving: () => false,
  handOver: async () => ({ pid: 7, sockets: [] }),
  cleanup: async () => void calls.push('cleanup'),
  logLevel: new SharedLogLevel('info'),
};
const body = (value: unknown): string => JSON.stringify(value);
const START = { name: 'a', namespace: 'b', serviceAccount: 'c' };

const cases = [
  { name: 'the level of the log', method: 'GET', path: '/v1/log-level', body: '', status: 200 },
  { name: 'a level that is none', method: 'POST', path: '/v1/log-level', body: '{}', status: 400 },
  { name: 'status', method: 'GET', path: '/v1/status', body: '', status: 200 },
  { name: 'a handover', method: 'POST', path: '/v1/handover', body: '{}', status: 200 },
  { name: 'a start with the least it needs', method: 'POST', path: '/v1/workloads', body: body(START), status: 200 },
  { name: 'a drain', method: 'POST', path: '/v1/workloads/b/a/drain', body: body({ draining: true }), status: 204 },
  { name: 'a weight that is none', method: 'POST', path: '/v1/workloads', body: body({ ...START, weight: 0 }), status: 400 },
  { name: 'a weight', method: 'POST', path: '/v1/workloads', body: body({ ...START, weight: 3 }), status: 200 },
  {
    name: 'an annotation that cannot be read',
    method: 'POST',
    path: '/v1/workloads',
    body: body({ ...START, annotations: { 'ambient.istio.io/dns-capture': 'maybe' } }),
    status: 400,
  },
  { name: 'a body that is not JSON', method: 'POST', path: '/v1/workloads', body: '{', status: 400 },
  {
    name: 'a body without a name',
    method: 'POST',
    path: '/v1/workloads',
    body: body({ namespace: 'b', serviceAccount: 'c' }),
    status: 400,
  },
  { name: 'labels that are a list', method: 'POST', path: '/v1/workloads', body: body({ ...START, labels: [] }), status: 400 },
  { name: 'a workload that exists', method: 'POST', path: '/v1/workloads', body: body({ ...START, name: 'twice' }), status: 409 },
  { name: 'a stop', method: 'DELETE', path: '/v1/workloads/shop/cart', body: '', status: 204 },
  { name: 'a stop with a strange name', method: 'DELETE', path: '/v1/workloads/shop/..%2f', body: '', status: 404 },
  { name: 'a cleanup', method: 'POST', path: '/v1/cleanup', body: '', status: 204 },
  { name: 'an unknown path', method: 'GET', path: '/', body: '', status: 404 },
];
for (const one of cases) {
  test(`${one.name} is answered ${one.status}`, async () =>
    assert.equal((await answerLocalApi(one.method, one.path, one.body, actions)).status, one.status));
}

test('an error keeps its code and remedy', async () => {
  const reply = await answerLocalApi('POST', '/v1/workloads', body({ ...START, name: 'twice' }), actions);
  assert.deepEqual(reply.body, { code: 'WEFT_WORKLOAD_EXISTS', message: 'runs already', remedy: 'end it' });
});

test('B69: annotations that have an effect arrive, others do not', async () => {
  const dns = { 'ambient.istio.io/dns-capture': 'false' };
  await answerLocalApi('POST', '/v1/workloads', body({ ...START, annotations: { ...dns, other: 'x' } }), actions);
  assert.deepEqual(calls.at(-1), { ...START, labels: {}, nativeTunnel: false, annotations: dns });
});
