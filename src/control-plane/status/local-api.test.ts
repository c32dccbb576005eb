import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import type { CaStatus, ControlStatus } from '#protocol/api/control.ts';
import { answerControlApi, type ControlApi } from './local-api.ts';

const STATUS = { pid: 7 } as ControlStatus;

/** A desk that keeps nothing. */
const IDLE_DESK: ControlApi['desk'] = {
  apply: async () => [],
  compare: async () => [],
  remove: async () => [],
  removeGiven: async () => [],
  list: () => ({ resources: [], next: null }),
};

const CA: CaStatus = { signer: 'own', rotation: null, since: null, nextStepAt: null, roots: [] };

/** A control plane that notes what is asked of it. */
function api(changes: Partial<ControlApi> = {}) {
  const calls: string[] = [];
  const control: ControlApi = {
    status: () => STATUS,
    describe: async (subject) => ({
      ...subject,
      facts: {},
      services: [],
      workloads: [],
      policies: [],
      routes: [],
      waypoint: null,
    }),
    async mintToken(node, { identities, addresses, waypoints }, ttlMs) {
      calls.push(`${node} ${identities} ${addresses} ${waypoints} ${ttlMs}`);
      return { token: 't', expiresAt: '', addresses: [], rootsPem: '', address: '' };
    },
    async revokeTokens(node) {
      calls.push(`revoke ${node}`);
    },
    ca: {
      status: () => CA,
      async rotate() {
        calls.push('rotate');
        return { ...CA, rotation: 'distributing' };
      },
    },
    async stopWaypoints() {
      calls.push('stop');
    },
    desk: IDLE_DESK,
    logLevel: new SharedLogLevel('info'),
    ...changes,
  };
  return { calls, ask: (method: string, path: string, body = '') => answerControlApi(control, method, path, body) };
}

test('H18: the level of the log is told and changed; what is none is refused and changes nothing', async () => {
  const { ask } = api();
  assert.deepEqual((await ask('GET', '/v1/log-level')).body, { level: 'info' });
  assert.deepEqual((await ask('POST', '/v1/log-level', '{"level":"debug"}')).body, { level: 'debug' });
  assert.equal((await ask('POST', '/v1/log-level', '{"level":"loud"}')).status, 400);
  assert.equal((await ask('DELETE', '/v1/log-level')).status, 404);
  assert.deepEqual((await ask('GET', '/v1/log-level')).body, { level: 'debug' });
});

test('C77: the authority is told, and its root is replaced, when that is asked for', async () => {
  const { ask, calls } = api();
  assert.deepEqual((await ask('GET', '/v1/ca')).body, CA);
  assert.deepEqual(calls, []);
  assert.deepEqual((await ask('POST', '/v1/ca/rotate')).body, { ...CA, rotation: 'distributing' });
  assert.deepEqual(calls, ['rotate']);
});

test('H11: one thing of the mesh is described, when it is said which', async () => {
  const subject = { kind: 'service', namespace: 'shop', name: 'web' };
  const { status, body } = await api().ask('POST', '/v1/describe', JSON.stringify(subject));
  assert.deepEqual(
    [status, body],
    [200, { ...subject, facts: {}, services: [], workloads: [], policies: [], routes: [], waypoint: null }],
  );
  for (const wrong of [{ ...subject, kind: 'moon' }, { kind: 'service' }])
    assert.match(JSON.stringify(await api().ask('POST', '/v1/describe', JSON.stringify(wrong))), /WEFT_API_BODY/);
});

test('the status is told', async () => {
  const { status, body } = await api().ask('GET', '/v1/status');
  assert.deepEqual([status, body], [200, STATUS]);
});

const GRANT = '"identities":["shop/*"],"addresses":["10.0.0.0/8"]';
const tokens: { body: string; want: string }[] = [
  { body: `{"node":"node-1",${GRANT}}`, want: 'node-1 shop/* 10.0.0.0/8 false null' },
  { body: `{"node":"node-1",${GRANT},"waypoints":true}`, want: 'node-1 shop/* 10.0.0.0/8 true null' },
  { body: `{"node":"node-1",${GRANT},"ttlSeconds":60}`, want: 'node-1 shop/* 10.0.0.0/8 false 60000' },
  { body: `{"node":"node-1",${GRANT},"ttlSeconds":315360000}`, want: 'node-1 shop/* 10.0.0.0/8 false 315360000000' },
];
for (const { body, want } of tokens) {
  test(`a token is made as asked: ${body}`, async () => {
    const { calls, ask } = api();
    assert.equal((await ask('POST', '/v1/tokens', body)).status, 200);
    assert.deepEqual(calls, [want]);
  });
}

test('the tokens of a node are revoked by its name', async () => {
  const { calls, ask } = api();
  assert.equal((await ask('POST', '/v1/tokens/revoke', '{"node":"node-1"}')).status, 204);
  assert.equal((await ask('POST', '/v1/tokens/revoke', '{"node":"a b"}')).status, 400);
  assert.deepEqual(calls, ['revoke node-1']);
});

const refused = [
  '',
  '[]',
  'null',
  '{}',
  '{"node":"a"}',
  `{"node":"",${GRANT}}`,
  `{"node":"a b",${GRANT}}`,
  `{"node":"../x",${GRANT}}`,
  `{"node":7,${GRANT}}`,
  `{"node":"a",${GRANT},"ttlSeconds":0}`,
  `{"node":"a",${GRANT},"ttlSeconds":"60"}`,
  `{"node":"a",${GRANT},"ttlSeconds":315360001}`,
  '{"node":"a","identities":["shop"],"addresses":[]}',
  '{"node":"a","identities":["shop/*"],"addresses":["10.0.0.0/40"]}',
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
