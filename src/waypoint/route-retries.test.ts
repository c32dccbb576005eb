import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import type { HttpRouteRule } from '#model/waypoint/config.ts';
import { type App, curl, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { type Rig, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const RETRY = { codes: [500, 503], attempts: 3, backoffMs: null };

/** An app that answers with these statuses, the last one again and again; and a waypoint whose only rule leads to it. */
async function failing(t: TestContext, statuses: number[], change: Partial<HttpRouteRule>): Promise<{ rig: Rig; app: App }> {
  const rig = await startRig({ routes: [rule({}, [to('cart')], change)], random: () => 0 });
  t.after(() => rig.close());
  const app = await startApp(t, (_heard, response) => {
    response.statusCode = statuses.length > 1 ? (statuses.shift() ?? 0) : (statuses[0] ?? 0);
    response.end(`answer ${response.statusCode}`);
  });
  rig.endpoints([app.port]);
  return { rig, app };
}

test('W33 a status is a failure only where the route lists it, as often as it asks', async (t) => {
  const asked = await failing(t, [500, 503, 200], { retry: RETRY });
  assert.equal((await curl(asked.rig.port, '/')).body, 'answer 200');
  assert.equal(asked.rig.waypoint.counters.upstreamRetries, 2);
  const spent = await failing(t, [503], { retry: RETRY });
  // Tries are spent: the last answer is passed on as it came.
  assert.equal((await curl(spent.rig.port, '/')).body, 'answer 503');
  assert.equal(spent.app.heard.length, 4);
  const other = await failing(t, [502, 200], { retry: RETRY });
  assert.equal((await curl(other.rig.port, '/')).status, 502);
  const unasked = await failing(t, [503, 200], {});
  assert.equal((await curl(unasked.rig.port, '/')).status, 503);
});

for (const backoffMs of [null, 1_000])
  test(`W33 an answer without a body is dropped like any other, with a pause of ${backoffMs ?? 0} ms`, async (t) => {
    const rig = await startRig({ routes: [rule({}, [to('cart')], { retry: { ...RETRY, backoffMs } })], random: () => 0 });
    t.after(() => rig.close());
    const app = await startApp(t, (_heard, response) => response.writeHead(app.heard.length === 1 ? 503 : 204).end());
    rig.endpoints([app.port]);
    const asked = curl(rig.port, '/');
    if (backoffMs !== null) {
      await until(() => rig.clock.pendingMs().includes(backoffMs));
      rig.clock.advance(backoffMs);
    }
    assert.deepEqual([(await asked).status, app.heard.length], [204, 2]);
  });

test('W33 a body comes again with each try, for a method that the route has not excepted', async (t) => {
  const { rig, app } = await failing(t, [503, 503, 200], { retry: RETRY });
  const file = path.join(os.tmpdir(), `weft-body-${process.pid}`);
  writeFileSync(file, 'x'.repeat(200_000));
  t.after(() => rmSync(file));
  const { status } = await curl(rig.port, '/', '--data-binary', `@${file}`, '-H', 'expect:');
  assert.equal(status, 200);
  assert.deepEqual(
    app.heard.map(({ body }) => body.length),
    [200_000, 200_000, 200_000],
  );
});

test('W38 a body beyond the bound is not kept: the first answer stands', async (t) => {
  const { rig, app } = await failing(t, [503, 200], { retry: RETRY });
  const { status } = await curl(rig.port, '/', '--data-binary', `@${process.execPath}`, '-H', 'expect:');
  assert.deepEqual([status, app.heard.length], [503, 1]);
});

test('W37 a pause comes before each further try, and ends with the request', async (t) => {
  const { rig, app } = await failing(t, [503, 200], { retry: { ...RETRY, backoffMs: 1_000 } });
  const asked = curl(rig.port, '/');
  await until(() => app.heard.length === 1);
  await settle();
  rig.clock.advance(999);
  await settle();
  assert.equal(app.heard.length, 1);
  rig.clock.advance(1);
  assert.equal((await asked).status, 200);
});

test('W39 no try begins that its request has no time for; a time-out during the pause ends it', async (t) => {
  const retry = { ...RETRY, backoffMs: 1_000 };
  const late = await failing(t, [503, 200], { retry, requestTimeoutMs: 500 });
  assert.equal((await curl(late.rig.port, '/')).status, 503);
  const { rig, app } = await failing(t, [503, 503, 200], { retry, requestTimeoutMs: 1_500 });
  const asked = curl(rig.port, '/');
  await until(() => app.heard.length === 1);
  await settle();
  rig.clock.advance(1_000);
  await until(() => app.heard.length === 2);
  assert.equal((await asked).status, 503);
});

test('a client that leaves during a pause takes the further tries with it', async (t) => {
  const { rig, app } = await failing(t, [503, 200], { retry: { ...RETRY, backoffMs: 1_000 } });
  const asked = curl(rig.port, '/', '--max-time', '0.3');
  await until(() => app.heard.length === 1);
  assert.equal((await asked).code, 28);
  await until(() => rig.waypoint.counters.openRequests === 0);
  rig.clock.advance(2_000);
  await settle();
  assert.equal(app.heard.length, 1);
});

/** An app that answers only from the `answers`-th request on; the others hang or are cut. */
async function sulking(
  t: TestContext,
  answers: number,
  change: Partial<HttpRouteRule>,
  cut = false,
): Promise<{ rig: Rig; seen(): number }> {
  let seen = 0;
  const rig = await startRig({ routes: [rule({}, [to('cart')], change)], random: () => 0 });
  t.after(() => rig.close());
  const port = await startRawApp(t, (socket) =>
    socket.on('data', () => {
      seen++;
      if (seen >= answers) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      else if (cut) socket.destroy();
    }),
  );
  rig.endpoints([port]);
  return { rig, seen: () => seen };
}

test('W43 a try that takes too long is 504; with retries another one is made', async (t) => {
  const once = await sulking(t, 2, { backendTimeoutMs: 100 });
  const asked = curl(once.rig.port, '/');
  await until(() => once.seen() === 1);
  once.rig.clock.advance(100);
  const { status, body } = await asked;
  assert.deepEqual([status, body], [504, 'upstream request timeout']);
  assert.deepEqual(
    [once.rig.lines.at(-1)?.response_flags, once.rig.lines.at(-1)?.response_code_details],
    ['UT', 'upstream_per_try_timeout'],
  );
  const again = await sulking(t, 3, { backendTimeoutMs: 100, retry: RETRY });
  const waiting = curl(again.rig.port, '/');
  for (const tries of [1, 2]) {
    await until(() => again.seen() === tries);
    again.rig.clock.advance(100);
  }
  assert.equal((await waiting).body, 'ok');
});

test('what may have had its effect is repeated only where its method can be', async (t) => {
  const put = await sulking(t, 2, { retry: RETRY }, true);
  assert.equal((await curl(put.rig.port, '/', '-X', 'PUT', '-d', 'x')).body, 'ok');
  const post = await sulking(t, 2, { retry: RETRY }, true);
  assert.equal((await curl(post.rig.port, '/', '-d', 'x')).status, 503);
  assert.equal(post.seen(), 1);
  // Without a route that asks for it, neither.
  const plain = await sulking(t, 2, {}, true);
  assert.equal((await curl(plain.rig.port, '/', '-X', 'PUT', '-d', 'x')).status, 503);
});

test('W32 another endpoint gets the next try', async (t) => {
  let draws = 0;
  const rig = await startRig({
    routes: [rule({}, [to('cart')], { retry: { ...RETRY, backoffMs: 0 } })],
    random: () => (draws++ % 7) / 7,
  });
  t.after(() => rig.close());
  const bad = await startApp(t, (_heard, response) => response.writeHead(503).end());
  const good = await startApp(t);
  rig.endpoints([bad.port, good.port]);
  for (let request = 0; request < 20; request++) assert.equal((await curl(rig.port, '/')).status, 200);
  assert.ok(bad.heard.length > 0);
});
