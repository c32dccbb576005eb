import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { answerControlApi, type ControlApi } from './local-api.ts';

const STATUS = { pid: 7 } as ControlStatus;

/** A control plane that notes what is asked of it. */
function api(changes: Partial<ControlApi> = {}) {
  const calls: string[] = [];
  const control: ControlApi = {
    status: () => STATUS,
    async mintToken(node, ttlMs) {
      calls.push(`${node} ${ttlMs}`);
      return { token: 't', expiresAt: '', rootsPem: '', address: '' };
    },
    async stopWaypoints() {
      calls.push('stop');
    },
    ...changes,
  };
  return { calls, ask: (method: string, path: string, body = '') => answerControlApi(control, method, path, body) };
}

test('the status is told', async () => {
  const { status, body } = await api().ask('GET', '/v1/status');
  assert.deepEqual([status, body], [200, STATUS]);
});

const tokens: { body: string; want: string }[] = [
  { body: '{"node":"node-1"}', want: 'node-1 null' },
  { body: '{"node":"node-1","ttlSeconds":60}', want: 'node-1 60000' },
  { body: '{"node":"node-1","ttlSeconds":315360000}', want: 'node-1 315360000000' },
];
for (const { body, want } of tokens) {
  test(`a token is made as asked: ${body}`, async () => {
    const { calls, ask } = api();
    assert.equal((await ask('POST', '/v1/tokens', body)).status, 200);
    assert.deepEqual(calls, [want]);
  });
}

const refused = [
  '',
  '[]',
  'null',
  '{}',
  '{"node":""}',
  '{"node":"a b"}',
  '{"node":"../x"}',
  '{"node":7}',
  '{"node":"a","ttlSeconds":0}',
  '{"node":"a","ttlSeconds":"60"}',
  '{"node":"a","ttlSeconds":315360001}',
];
for (const body of refused) {
  test(`a request for a token that makes no sense is refused with the way out: ${body || 'nothing'}`, async () => {
    const { calls, ask } = api();
    const reply = await ask('POST', '/v1/tokens', body);
    const { code, remedy } = reply.body as { code: string; remedy?: string };
    assert.deepEqual([reply.status, code, calls], [400, 'WEFT_API_BODY', []]);
    assert.match(remedy ?? '', /^send /);
  });
}

test('waypoints are stopped, and there is nothing to say about it', async () => {
  const { calls, ask } = api();
  assert.equal((await ask('POST', '/v1/waypoints/stop')).status, 204);
  assert.deepEqual(calls, ['stop']);
});

for (const [method, path] of [
  ['GET', '/v1/other'],
  ['POST', '/v1/status'],
  ['DELETE', '/v1/tokens'],
] as const) {
  test(`${method} ${path} is not answered`, async () => {
    const { status, body } = await api().ask(method, path);
    assert.deepEqual([status, (body as { code: string }).code], [404, 'WEFT_API_PATH']);
  });
}

test('a failure with a code is told with it, any other as internal', async () => {
  const coded = api({ stopWaypoints: () => Promise.reject(new WeftError('WEFT_STATE_DIR', 'no', { remedy: 'mend' })) });
  const first = (await coded.ask('POST', '/v1/waypoints/stop')).body;
  assert.deepEqual(first, { code: 'WEFT_STATE_DIR', message: 'no', remedy: 'mend' });
  const plain = api({ stopWaypoints: () => Promise.reject(new Error('oops')) });
  const second = await plain.ask('POST', '/v1/waypoints/stop');
  assert.deepEqual([second.status, (second.body as { code: string }).code], [500, 'WEFT_INTERNAL']);
});
