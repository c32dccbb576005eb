import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Policy } from '#model/waypoint/config.ts';
import { authorizer, custom, startGrpcAuthorizer } from '#waypoint/authorizers.testing.ts';
import { type App, curl, deadPort, type Heard, startApp } from '#waypoint/clients.testing.ts';
import { type Rig, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

type Answer = (heard: Heard, response: ServerResponse) => void;

/** A waypoint, its app, and an authorizer of node:http in the service `authz` that is asked about paths below /asked. */
async function asking(
  t: TestContext,
  answer: Answer,
  authorizers: ExternalAuthorizer[] = [authorizer()],
  policies: L7Policy[] = [custom(['/asked*'])],
): Promise<{ rig: Rig; app: App; authz: App }> {
  const rig = await startRig({ policies, config: { authorizers } });
  t.after(() => rig.close());
  const app = await startApp(t, (_, response) => {
    response.setHeader('x-app', 'app');
    response.end('from the app');
  });
  rig.endpoints([app.port]);
  const authz = await startApp(t, answer);
  rig.endpoints([authz.port], {}, 'authz');
  return { rig, app, authz };
}

const ALLOW: Answer = (_, response) => void response.end();

/** As curl takes a body that is too long for its arguments. */
function fileWith(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-body-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'body'), text);
  return `@${join(directory, 'body')}`;
}

/** The line of the log about the last request. */
const lastRequest = (rig: Rig) => rig.lines.filter(({ message }) => message === 'request').at(-1);

test('W67 only requests that a CUSTOM rule matches are asked about; an answer of 200 lets them pass', async (t) => {
  const { rig, app, authz } = await asking(t, ALLOW, [
    authorizer(
      {},
      { pathPrefix: '/check', sentHeaders: ['x-user', 'x-t-*'], addedHeaders: [{ name: 'x-added', value: 'by us' }] },
    ),
  ]);
  assert.equal((await curl(rig.port, '/other', '-H', 'x-user: me')).body, 'from the app');
  assert.equal(authz.heard.length, 0);
  const headers = ['x-user: me', 'x-t-a: 1', 'x-secret: 2', 'authorization: Bearer t', 'x-added: by the client', 'cookie: c'];
  const args = headers.flatMap((one) => ['-H', one]);
  assert.equal((await curl(rig.port, '/asked/a%2Fb?q=1', '-X', 'PUT', '-H', 'host: cart', ...args)).body, 'from the app');
  const [asked = assert.fail()] = authz.heard;
  assert.deepEqual([asked.method, asked.url, asked.headers.host, asked.body], ['PUT', '/check/asked/a%2Fb?q=1', 'cart', '']);
  const { 'x-user': user, 'x-t-a': t1, 'x-secret': secret, 'x-added': added, authorization, cookie } = asked.headers;
  assert.deepEqual([user, t1, secret, added, authorization, cookie], ['me', '1', undefined, 'by us', 'Bearer t', undefined]);
  assert.equal(app.heard[1]?.headers['x-secret'], '2');
});

test('W67 an authorizer that denies answers the client: its status, body and headers, or those that are named', async (t) => {
  const deny: Answer = (_, response) => {
    response.writeHead(401, { 'x-why': 'because', 'www-authenticate': 'Basic', 'content-type': 'application/json' });
    response.end('{"no":1}');
  };
  const all = await asking(t, deny);
  const seen = await curl(all.rig.port, '/asked');
  assert.deepEqual([seen.status, seen.body], [401, '{"no":1}']);
  assert.match(seen.headers, /x-why: because[\s\S]*/i);
  assert.match(seen.headers, /content-type: application\/json/i);
  assert.equal(seen.headers.match(/content-type|date:|server:/gi)?.length, 3);
  assert.equal(all.app.heard.length, 0);
  const line = lastRequest(all.rig);
  assert.deepEqual(
    [line?.response_flags, line?.response_code_details, line?.policy, line?.rule],
    ['UAEX', 'ext_authz_denied', 'shop/ask-authz', 0],
  );
  const named = await asking(t, deny, [authorizer({}, { toClientOnDeny: ['x-none'] })]);
  const less = await curl(named.rig.port, '/asked');
  assert.equal(less.status, 401);
  assert.match(less.headers, /www-authenticate: Basic/i);
  assert.doesNotMatch(less.headers, /x-why/i);
});

test('W67 what an authorizer says goes to the upstream in place of what the client said, as far as it is named', async (t) => {
  const { rig, app } = await asking(
    t,
    (_, response) => {
      response.setHeader('x-user', ['alice', 'second']);
      response.setHeader('x-other', 'kept back');
      response.setHeader('x-limit', '7');
      response.setHeader('connection', 'x-hop');
      response.setHeader('x-hop', '1');
      response.setHeader('x-envoy-auth-headers-to-remove', 'authorization, x-gone, host');
      response.end();
    },
    [authorizer({}, { toUpstream: ['x-user', 'x-hop', 'content-length', 'connection'], toClientOnAllow: ['x-limit', 'x-app'] })],
  );
  const seen = await curl(rig.port, '/asked', '-H', 'x-user: mallory', '-H', 'authorization: secret', '-H', 'x-gone: 1');
  assert.match(seen.headers, /x-limit: 7/i);
  assert.match(seen.headers, /x-app: app/i);
  const { headers } = app.heard[0] ?? assert.fail();
  assert.deepEqual(
    [
      headers['x-user'],
      headers['x-other'],
      headers['x-hop'],
      headers.authorization,
      headers['x-gone'],
      headers['content-length'],
    ],
    ['alice, second', undefined, undefined, undefined, undefined, undefined],
  );
});

const ERRORS: { name: string; answer: Answer | null; http?: object; timeoutMs?: number; details: RegExp }[] = [
  { name: 'answers 503', answer: (_, response) => void response.writeHead(503).end('x'), details: /it_answered_503/ },
  { name: 'breaks off', answer: (_, response) => void response.destroy(), details: /ext_authz_error\{authz\|/ },
  { name: 'is not there', answer: null, details: /ECONNREFUSED/ },
  { name: 'says nothing', answer: () => {}, timeoutMs: 500, details: /no_answer_within_500_ms/ },
  { name: 'says too much', answer: (_, response) => void response.end('x'.repeat(300_000)), details: /longer_than/ },
];
for (const { name, answer, timeoutMs = null, details } of ERRORS) {
  test(`W67 an authorizer that ${name}: 403 and UAEX, or as it is said; failOpen lets requests pass`, async (t) => {
    const closed = authorizer({ timeoutMs });
    const { rig, app } = await asking(t, answer ?? ALLOW, [closed]);
    if (answer === null) rig.endpoints([await deadPort()], {}, 'authz');
    const ask = async () => {
      const seen = curl(rig.port, '/asked', '-H', 'x-id: 1');
      if (timeoutMs !== null) {
        await until(() => rig.waypoint.counters.openRequests === 1 && rig.waypoint.counters.upstreamConnections > 0);
        await settle();
        rig.clock.advance(timeoutMs);
      }
      return seen;
    };
    const { status: code, body } = await ask();
    assert.deepEqual([code, body], [403, '']);
    assert.equal(lastRequest(rig)?.response_flags, 'UAEX');
    assert.match(String(lastRequest(rig)?.response_code_details), details);
    assert.equal(app.heard.length, 0);
    const again = async (change: Partial<ExternalAuthorizer>) => {
      rig.waypoint.configure({ ...rig.config, authorizers: [{ ...closed, ...change }] });
      return ask();
    };
    assert.equal((await again({ statusOnError: 503 })).status, 503);
    const open = await again({ failOpen: true });
    assert.deepEqual([open.status, open.body], [200, 'from the app']);
  });
}

test('W67 an authorizer that is not known denies, as does a connection without HTTP that it would have been asked about', async (t) => {
  const { rig, app } = await asking(t, ALLOW, []);
  assert.deepEqual([(await curl(rig.port, '/asked')).status, (await curl(rig.port, '/other')).status], [403, 200]);
  assert.equal(app.heard.length, 1);
});

test('W67 CUSTOM before DENY before ALLOW: who is denied by the authorizer is not asked further, and who is allowed is', async (t) => {
  const order: L7Policy[] = [
    custom(['/asked*']),
    custom(['/asked/denied'], 'authz', { name: 'deny', action: 'deny' }),
    custom(['/asked/denied', '/asked/allowed'], 'authz', { name: 'allow', action: 'allow' }),
  ];
  const answer: Answer = ({ headers }, response) => void response.writeHead(headers['x-ok'] === '1' ? 200 : 418).end();
  const { rig, authz } = await asking(t, answer, [authorizer({}, { sentHeaders: ['x-ok'] })], order);
  const codes: number[] = [];
  for (const [path, ok] of [
    ['denied', 0],
    ['denied', 1],
    ['allowed', 1],
    ['neither', 1],
    ['allowed', 0],
  ])
    codes.push((await curl(rig.port, `/asked/${path}`, '-H', `x-ok: ${ok}`)).status);
  assert.deepEqual(codes, [418, 403, 200, 403, 418]);
  assert.equal(authz.heard.length, 5);
});

test('W67 several authorizers are asked by name, each seeing what the one before has changed', async (t) => {
  const { rig, app, authz } = await asking(
    t,
    ({ headers }, response) => void response.setHeader('x-seen', `${headers['x-seen'] ?? ''}b`).end(),
    [
      authorizer({}, { sentHeaders: ['x-seen'], toUpstream: ['x-seen'] }),
      authorizer({ name: 'a-first' }, { sentHeaders: ['x-seen'], toUpstream: ['x-seen'] }),
    ],
    [custom(['/asked*']), custom(['/asked*'], 'a-first')],
  );
  const first = await startApp(t, (_, response) => void response.setHeader('x-seen', 'a').end());
  rig.endpoints([first.port], {}, 'a-first');
  assert.equal((await curl(rig.port, '/asked', '-H', 'x-seen: z')).status, 200);
  assert.deepEqual([first.heard[0]?.headers['x-seen'], authz.heard[0]?.headers['x-seen']], ['z', 'a']);
  assert.equal(app.heard[0]?.headers['x-seen'], 'ab');
});

test('W67 in a dry run the authorizer is asked, what it says is told, and the request does not wait for it', async (t) => {
  let held: ServerResponse | null = null;
  const { rig, app } = await asking(
    t,
    (_, response) => {
      held = response;
    },
    [authorizer()],
    [custom(['/asked*'], 'authz', { dryRun: true })],
  );
  assert.equal((await curl(rig.port, '/asked')).status, 200);
  await until(() => held !== null);
  (held as ServerResponse | null)?.writeHead(403).end();
  await until(() => rig.lines.some(({ message, decision }) => message.includes('dry run') && decision === 'deny'));
  assert.equal(app.heard.length, 1);
});

test('W67 the body is shown as far as is said, and goes to the upstream whole; one that is longer is 413, or shown in part', async (t) => {
  const shown = (change: object) => authorizer({ body: { bytesMax: 100_000, allowPartial: false, asBytes: false, ...change } });
  const { rig, app, authz } = await asking(t, ALLOW, [shown({})]);
  const small = 'x'.repeat(100_000);
  for (const args of [[], ['-H', 'transfer-encoding: chunked'], ['--http2-prior-knowledge']]) {
    const seen = await curl(rig.port, '/asked', '-d', small, ...args, '-H', 'expect:');
    assert.deepEqual([seen.status, app.heard.at(-1)?.body.length, authz.heard.at(-1)?.body.length], [200, 100_000, 100_000]);
    assert.equal(authz.heard.at(-1)?.headers['x-envoy-auth-partial-body'], 'false');
    // This curl takes the end of a stream whose upload it has not finished for a failure, whatever came before it.
    if (args.includes('--http2-prior-knowledge')) continue;
    const more = await curl(rig.port, '/asked', '-d', `${small}y`, ...args, '-H', 'expect:');
    assert.equal(more.status, 413);
  }
  assert.equal((await curl(rig.port, '/asked', '-d', small, '-H', 'expect: 100-continue')).status, 200);
  assert.equal((await curl(rig.port, '/asked')).status, 200);
  assert.equal(app.heard.length, 5);
  rig.waypoint.configure({ ...rig.config, authorizers: [shown({ allowPartial: true })] });
  const large = Array.from({ length: 400_000 }, (_, at) => at).join(' ');
  for (const version of ['--http1.1', '--http2-prior-knowledge']) {
    assert.equal((await curl(rig.port, '/asked', version, '--data-binary', fileWith(t, large))).status, 200);
    assert.equal(authz.heard.at(-1)?.body, large.slice(0, 100_000));
    assert.equal(authz.heard.at(-1)?.headers['x-envoy-auth-partial-body'], 'true');
    assert.equal(app.heard.at(-1)?.body, large);
  }
});

test('W67 a mirror and a time-out have the body that was taken in for an authorizer', async (t) => {
  const body = { bytesMax: 100_000, allowPartial: true, asBytes: false };
  const rules = [rule({}, [to('cart')], { requestTimeoutMs: 1_000, mirrors: [{ ...MIRROR }] })];
  const route = { namespace: 'shop', name: 'r', ports: null, clientNamespace: null, rules };
  const { rig, app } = await asking(t, ALLOW, [authorizer({ body })]);
  const copy = await startApp(t);
  rig.endpoints([copy.port], {}, 'copy');
  const services = rig.config.services.map((service) => ({ ...service, routes: [route] }));
  rig.waypoint.configure({ ...rig.config, services });
  for (const text of ['whole', 'z'.repeat(300_000)]) {
    await curl(rig.port, '/asked', '--data-binary', fileWith(t, text), '-H', 'expect:');
    await until(() => copy.heard.at(-1)?.body === text);
    assert.equal(app.heard.at(-1)?.body, text);
  }
  const silent = await startApp(t, () => {});
  rig.endpoints([silent.port]);
  const seen = curl(rig.port, '/asked', '-d', 'whole');
  await until(() => silent.heard.length === 1);
  rig.clock.advance(1_000);
  assert.equal((await seen).status, 504);
});

const MIRROR = { service: 'shop/copy.shop.svc.cluster.local', port: 80, numerator: 1, denominator: 1 } as const;

test('W67 a change of the configuration ends neither who waits nor who was allowed, but who was never asked about', async (t) => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { rig, app } = await asking(t, (_, response) => void held.then(() => response.end()));
  const slow = await startApp(t, (_, response) => void held.then(() => response.end('slow')));
  rig.endpoints([slow.port]);
  const waits = curl(rig.port, '/asked');
  const free = curl(rig.port, '/free');
  await until(() => slow.heard.length === 1 && rig.waypoint.counters.openRequests === 2);
  rig.waypoint.configure({ ...rig.config, policies: [custom(['/nothing'])] });
  assert.equal(rig.waypoint.counters.openRequests, 2);
  rig.waypoint.configure({ ...rig.config, policies: [custom(['/free'])] });
  assert.equal((await free).status, 403);
  release();
  assert.deepEqual([(await waits).status, app.heard.length], [200, 0]);
});

test('W67 a client that leaves takes its question back', async (t) => {
  const { rig, authz } = await asking(t, () => {});
  const leaving = curl(rig.port, '/asked', '--max-time', '0.2');
  await until(() => authz.heard.length === 1);
  assert.equal((await leaving).code, 28);
  await until(() => authz.sockets.size === 0 && rig.waypoint.counters.openRequests === 0);
});

test('W67 by gRPC: allowed with changes, denied with an answer, an error, and what it is asked', async (t) => {
  const header = (key: string, value: string, change = {}) => ({ header: { key, value }, ...change });
  const { port, asked } = await startGrpcAuthorizer(t, ({ attributes }) => {
    const path = attributes?.request?.http?.path ?? '';
    if (path.startsWith('/asked/denied')) {
      const headers = [header('X-Why', 'because'), header('content-length', '5')];
      return {
        status: { code: 7 },
        httpResponse: { case: 'deniedResponse', value: { status: { code: 451 }, headers, body: 'no' } },
      };
    }
    if (path === '/asked/bare') return { status: { code: 16 } };
    if (path === '/asked/error') return status.INTERNAL;
    if (path === '/asked/empty') return {};
    return {
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: {
          headers: [
            header('x-user', 'alice'),
            header('x-list', 'b', { append: true }),
            header('host', 'evil'),
            header('x-had', 'n', { appendAction: 1 }),
          ],
          headersToRemove: ['Authorization'],
          responseHeadersToAdd: [header('x-limit', '7')],
          queryParametersToSet: [{ key: 'p', value: 'a b' }],
          queryParametersToRemove: ['secret'],
        },
      },
    };
  });
  const body = { bytesMax: 4, allowPartial: true, asBytes: true };
  const { rig, app } = await asking(t, ALLOW, [authorizer({ body }, null)]);
  rig.endpoints([port], {}, 'authz');
  const sent = ['-H', 'x-user: mallory', '-H', 'x-list: a', '-H', 'x-had: y', '-H', 'authorization: secret', '-d', 'abcdef'];
  const seen = await curl(rig.port, '/asked?secret=1&q=2', ...sent, '-H', 'host: cart');
  assert.equal(seen.status, 200);
  assert.match(seen.headers, /x-limit: 7/i);
  const { headers, url, body: whole } = app.heard[0] ?? assert.fail();
  assert.deepEqual(
    [url, headers['x-user'], headers['x-list'], headers.host, headers['x-had'], headers.authorization, whole],
    ['/asked?q=2&p=a%20b', 'alice', 'a, b', 'cart', 'y', undefined, 'abcdef'],
  );
  const { source, request } = asked[0]?.attributes ?? assert.fail();
  assert.deepEqual(
    [source?.principal, source?.address?.socketAddress?.address],
    ['spiffe://cluster.local/ns/web/sa/front', '10.0.0.7'],
  );
  const { method, path, host, headers: shown, size, protocol, id } = request?.http ?? assert.fail();
  assert.deepEqual([method, path, host, size, protocol], ['POST', '/asked?secret=1&q=2', 'cart', 6n, 'HTTP/1.1']);
  assert.deepEqual([shown['x-user'], shown[':path'], shown['x-request-id']], ['mallory', '/asked?secret=1&q=2', id]);
  assert.equal(Buffer.from(request?.http?.rawBody ?? []).toString(), 'abcd');
  const denied = await curl(rig.port, '/asked/denied');
  assert.deepEqual([denied.status, denied.body], [451, 'no']);
  assert.match(denied.headers, /x-why: because/i);
  assert.equal((await curl(rig.port, '/asked/bare')).status, 403);
  assert.equal((await curl(rig.port, '/asked/empty')).status, 200);
  assert.equal((await curl(rig.port, '/asked/error')).status, 403);
  assert.match(String(lastRequest(rig)?.response_code_details), /ext_authz_error\{authz\|grpc-status_13/);
});
